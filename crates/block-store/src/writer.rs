//! The one thread that writes: it takes what has queued up and commits it in one go.
use std::sync::Arc;
use std::sync::mpsc::Receiver;

use pinrail_domain::chain;
use redb::{ReadableTable, WriteTransaction};

use crate::change::{Change, Usage};
use crate::collect::{self, STEP_PUNCHES};
use crate::command::{Answer, Command, RootCall, refusal, refuse, say, size_of_command};
use crate::index::{PUNCHES, ROOTS, damaged, failed};
use crate::nodes;
use crate::replay::read_segment_rows;
use crate::root_log::RootLog;
use crate::row::Root;
use crate::segment::Tail;
use crate::{Collected, NodeKey, Shared, StoreError, open, roots};

pub(crate) struct Writer {
    store: Arc<Shared>,
    tail: Tail,
    log: RootLog,
    /// Blocks and bytes that were committed since the index was saved.
    unsaved: (usize, usize),
}

impl Writer {
    pub fn new(store: Arc<Shared>, tail: Tail, log: RootLog) -> Writer {
        Writer { store, tail, log, unsaved: (0, 0) }
    }

    /// Works until every handle of the store is gone.
    pub fn run(mut self, inbox: &Receiver<Command>) {
        let mut next = inbox.recv().ok();
        while let Some(command) = next.take() {
            // Whoever asked may have gone; it is done all the same.
            match command {
                Command::Collect(now_ms, reply) => {
                    let _ = reply.send(self.collect(now_ms));
                }
                Command::CatchUp(reply) => {
                    let _ = reply.send(self.find_index());
                }
                command => {
                    let (batch, rest) = self.take_batch(command, inbox);
                    self.commit(batch);
                    next = rest;
                }
            }
            next = next.or_else(|| inbox.recv().ok());
        }
    }

    /// Takes what has queued up, as much as one commit holds; and what comes after it, if it is at
    /// hand.
    fn take_batch(&self, first: Command, inbox: &Receiver<Command>) -> (Vec<Command>, Option<Command>) {
        let options = &self.store.options;
        let mut bytes = size_of_command(&first);
        let mut batch = vec![first];
        while bytes < options.batch_bytes && batch.len() < options.batch_blocks {
            match inbox.try_recv() {
                Ok(command @ (Command::Collect(..) | Command::CatchUp(_))) => return (batch, Some(command)),
                Ok(command) => {
                    bytes += size_of_command(&command);
                    batch.push(command);
                }
                Err(_) => break,
            }
        }
        (batch, None)
    }

    fn commit(&mut self, batch: Vec<Command>) {
        if let Err(error) = self.find_index() {
            return refuse(batch, &error);
        }
        let holds_nodes = batch.iter().any(|command| matches!(command, Command::Node(_)));
        let room = if holds_nodes { self.look_for_room() } else { Ok(()) };
        match self.try_commit(&batch, &room) {
            Ok(answers) => say(batch, answers),
            Err(error) => {
                self.recover(&error);
                self.commit_without_nodes(batch, &error);
            }
        }
    }

    fn look_for_room(&self) -> Result<(), StoreError> {
        if self.store.watch.look()?.full {
            return Err(StoreError::StorageFull);
        }
        Ok(())
    }

    /// A batch failed: its nodes with it, but what roots are to become is tried again by itself.
    fn commit_without_nodes(&mut self, batch: Vec<Command>, error: &StoreError) {
        let had_nodes = batch.iter().any(|command| matches!(command, Command::Node(_)));
        if !had_nodes && !matches!(error, StoreError::StorageFull) {
            return refuse(batch, error);
        }
        match self.try_commit(&batch, &Err(error.clone())) {
            Ok(answers) => say(batch, answers),
            Err(error) => {
                self.recover(&error);
                refuse(batch, &error);
            }
        }
    }

    fn try_commit(&mut self, batch: &[Command], room: &Result<(), StoreError>) -> Result<Vec<Answer>, StoreError> {
        let store = Arc::clone(&self.store);
        let blocks = self.unsaved.0 + batch.len();
        let bytes = self.unsaved.1 + batch.iter().map(size_of_command).sum::<usize>();
        // Nothing but the index knows what was discarded.
        let unlogged = batch.iter().any(|command| matches!(command, Command::Discard(..)));
        let options = &store.options;
        let save = blocks >= options.save_blocks || bytes >= options.save_bytes || unlogged;
        let mut apply = |transaction: &WriteTransaction| self.apply(transaction, batch, room);
        let (answers, growth) = if save { store.index.save(&mut apply)? } else { store.index.write(&mut apply)? };
        self.unsaved = if save { (0, 0) } else { (blocks, bytes) };
        self.tail.accept();
        store.watch.grow(growth);
        Ok(answers)
    }

    /// Blocks are durable first, then the roots' log, and only then the index may know of them.
    fn apply(
        &mut self,
        transaction: &WriteTransaction,
        batch: &[Command],
        room: &Result<(), StoreError>,
    ) -> Result<(Vec<Answer>, i64), StoreError> {
        let mut change = Change::new(transaction)?;
        let mut accepted = Vec::with_capacity(batch.len());
        for command in batch {
            accepted.push(self.take(&mut change, command, room)?);
        }
        if self.tail.waiting() > 0 {
            let end = self.tail.write()?;
            let (number, _) = self.tail.active().ok_or(StoreError::Closed)?;
            change.usage(number)?.end = end;
        }
        self.log.append(change.changed_roots())?;
        let mut answers = Vec::with_capacity(batch.len());
        for (command, accepted) in batch.iter().zip(accepted) {
            answers.push(match (command, accepted) {
                (Command::Node(incoming), Ok(Some(accepted))) => {
                    Answer::Node(nodes::answer(&change, incoming.key, accepted))
                }
                (command, Err(error)) => refusal(command, &error),
                (_, Ok(_)) => Answer::Plain(Ok(())),
            });
        }
        let growth = change.growth;
        change.flush()?;
        Ok((answers, growth))
    }

    /// Takes one command into the batch.
    fn take(
        &mut self,
        change: &mut Change<'_>,
        command: &Command,
        room: &Result<(), StoreError>,
    ) -> Result<Result<Option<nodes::Accepted>, StoreError>, StoreError> {
        Ok(match command {
            Command::Node(incoming) => {
                if let Err(error) = room {
                    return Ok(Err(error.clone()));
                }
                self.open_segment(change)?;
                nodes::commit(change, &mut self.tail, incoming)?.map(Some)
            }
            Command::Root(key, epoch, call, _) => match call {
                RootCall::Begin => roots::begin(change, key, *epoch)?,
                RootCall::Finish(totals) => roots::finish(change, key, *epoch, *totals)?,
                RootCall::Fail(until) => roots::fail(change, key, *epoch, *until)?,
                RootCall::Release => roots::release(change, key, *epoch)?,
            }
            .map(|()| None),
            Command::Discard(multihash, _) => {
                nodes::discard(change, multihash)?;
                Ok(None)
            }
            Command::Collect(..) | Command::CatchUp(_) => Ok(None),
        })
    }

    /// Batches are never split: a segment that is large enough is closed before the next.
    fn open_segment(&mut self, change: &mut Change<'_>) -> Result<(), StoreError> {
        let grown = |(_, end)| end >= self.store.options.segment_size && self.tail.waiting() == 0;
        if self.tail.active().is_none_or(grown) {
            let number = change.number_segment();
            self.tail.begin_segment(number)?;
            // A segment without a row is taken for one whose records are all deleted, also when the
            // first block of it is refused and the next ones come in a later commit.
            *change.usage(number)? = Usage::default();
        }
        Ok(())
    }

    /// After an error: the index is opened again as it was last saved, and catches up with what is
    /// durable. If the batch's own commit failed it may have become so or not, but never by half.
    fn recover(&mut self, error: &StoreError) {
        tracing::warn!(error = chain(error), "block store could not commit");
        if matches!(error, StoreError::StorageFull) {
            self.store.watch.give_up_ballast();
        }
        if let Err(error) = self.catch_up() {
            tracing::error!(error = chain(&error), "index of the block store could not be opened again");
        }
    }

    /// Opens the index again if it is lost: the disk may have come back since.
    fn find_index(&mut self) -> Result<(), StoreError> {
        if self.store.index.is_lost() { self.catch_up() } else { Ok(()) }
    }

    /// Nobody sees the index until it is whole, and when this fails nobody does: one that is behind
    /// would give segments' numbers that are taken, and write the log of roots without the latest.
    fn catch_up(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        store.index.close();
        self.tail.drop_batch();
        self.log.cut()?;
        let index = open::open_index(&store.segments, &store.options)?;
        // An index that was made anew may have added to it.
        self.log = RootLog::open(Arc::clone(store.segments.disk()), store.segments.folder())?;
        if let Some((number, end)) = self.tail.active() {
            let (rows, _) = read_segment_rows(&index)?;
            let saved = rows.get(&number).map_or(0, |(end, _)| *end);
            self.tail.abandon(end.max(saved))?;
        }
        let rows = open::catch_up(&index, &store.segments, &self.log.read()?)?;
        store.watch.set_used(rows.values().map(|(_, live)| live).sum());
        self.unsaved = (0, 0);
        store.index.replace(index);
        Ok(())
    }

    /// One step of collection; tried once more when the ballast had to go for it.
    fn collect(&mut self, now_ms: u64) -> Result<Collected, StoreError> {
        self.find_index()?;
        match self.try_collect(now_ms) {
            Err(StoreError::StorageFull) => {
                self.recover(&StoreError::StorageFull);
                self.try_collect(now_ms)
            }
            other => other,
        }
        .inspect_err(|error| self.recover(error))
    }

    fn try_collect(&mut self, now_ms: u64) -> Result<Collected, StoreError> {
        let store = Arc::clone(&self.store);
        let punched = self.punch()?;
        let (keep_ms, limit) = (store.options.keep_failed_ms, store.options.collect_nodes);
        let (collected, dead, growth, long) = store.index.save(|transaction| {
            let mut change = Change::new(transaction)?;
            for hole in &punched {
                change.punches.remove(hole).map_err(failed)?;
            }
            let collected = collect::step(&mut change, now_ms, keep_ms, limit)?;
            let dead = change.dead_segments()?;
            for number in &dead {
                change.forget_segment(*number)?;
            }
            self.log.append(change.changed_roots())?;
            let long = self.log.is_long(change.known_roots()?, store.options.log_bytes);
            let growth = change.growth;
            change.flush()?;
            Ok((collected, dead, growth, long))
        })?;
        self.unsaved = (0, 0);
        store.watch.grow(growth);
        for number in dead {
            if self.tail.active().is_some_and(|(active, _)| active == number) {
                self.tail.close_segment();
            }
            store.segments.remove(number)?;
        }
        if long {
            self.shorten_log()?;
        }
        Ok(collected)
    }

    /// Gives disk back for records that were deleted in an earlier, durable transaction; done twice
    /// it does nothing, since nothing is ever written to a segment's past.
    fn punch(&self) -> Result<Vec<(u32, u64)>, StoreError> {
        let holes: Vec<(u32, u64, u64)> = self.store.index.read(|transaction| {
            let punches = transaction.open_table(PUNCHES).map_err(failed)?;
            let rows = punches.iter().map_err(failed)?.take(STEP_PUNCHES);
            rows.map(|row| {
                let (key, length) = row.map_err(failed)?;
                let (segment, offset) = key.value();
                Ok((segment, offset, length.value()))
            })
            .collect()
        })?;
        for (segment, offset, length) in &holes {
            self.store.segments.punch(*segment, *offset, *length)?;
        }
        Ok(holes.into_iter().map(|(segment, offset, _)| (segment, offset)).collect())
    }

    fn shorten_log(&mut self) -> Result<(), StoreError> {
        let store = Arc::clone(&self.store);
        store.index.read(|transaction| {
            let table = transaction.open_table(ROOTS).map_err(failed)?;
            let mut rows = Vec::new();
            for row in table.iter().map_err(failed)? {
                let (key, root) = row.map_err(failed)?;
                let key = NodeKey::from_bytes(key.value());
                let root = Root::from_bytes(root.value());
                rows.push(key.zip(root).ok_or_else(|| damaged("a root row"))?);
            }
            Ok(self.log.rewrite(rows.into_iter())?)
        })
    }
}
