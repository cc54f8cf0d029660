//! Dice that fall the same way each time.

/// A fixed sequence of numbers (xorshift), so that a check that failed fails again.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The sequence number `number`.
    pub const fn new(number: u64) -> Self {
        Self((number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// The next number below `sides`.
    pub const fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}
