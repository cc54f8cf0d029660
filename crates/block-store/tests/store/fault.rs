//! What goes wrong with a disk, and the chance that says when.

/// What goes wrong, and when: changes of the disk are numbered, and so are looks at it.
#[derive(Clone, Copy, Debug)]
pub enum Fault {
    /// So many changes from this one on fail: of a write some sectors arrive, of a sync some of what
    /// it was for, of anything else nothing.
    Fail { at: usize, count: usize },
    /// From this change on, until so many were asked for, one in `odds` of the changes and of the
    /// looks fails.
    Flicker { at: usize, count: usize, odds: u64 },
    /// This change fails, and so does a change or a look later, with so many between them.
    Relapse { at: usize, between: usize },
    /// This look fails.
    Blink { at: usize },
    /// From this change on others have taken all that was left.
    Fill { at: usize },
}

/// A change or a look that is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Whether it is a look.
    pub is_look: bool,
    /// How many changes came before it.
    pub changes: usize,
    /// How many looks came before it.
    pub looks: usize,
    /// How many of both came between the first failure and it.
    pub since: Option<usize>,
}

impl Fault {
    /// Whether what is asked for at this moment fails.
    pub fn fails(self, now: Moment, dice: &mut Dice) -> bool {
        match self {
            Fault::Fail { at, count } => !now.is_look && (at..at + count).contains(&now.changes),
            Fault::Flicker { at, count, odds } => (at..at + count).contains(&now.changes) && dice.roll(odds) == 0,
            Fault::Relapse { at, between } => match now.since {
                Some(since) => since == between,
                None => !now.is_look && now.changes == at,
            },
            Fault::Blink { at } => now.is_look && now.looks == at,
            Fault::Fill { .. } => false,
        }
    }

    /// Whether it passes after a single failure.
    pub fn is_single(self) -> bool {
        matches!(self, Fault::Fail { count: 1, .. } | Fault::Blink { .. })
    }
}

/// Reproducible chance.
#[derive(Clone, Copy, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number under the limit.
    pub fn roll(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (word ^ (word >> 31)) % limit
    }
}
