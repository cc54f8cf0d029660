//! What the clones of a store share: the way to the writer and to the index.
use std::sync::mpsc::{Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use redb::ReadTransaction;

use crate::command::Command;
use crate::{Shared, StoreError};

/// What the clones of a store share; the last one that is dropped waits for the writer to end.
#[derive(Debug)]
pub(crate) struct Handle {
    pub shared: Arc<Shared>,
    /// None only while the store is being dropped.
    pub sender: Option<Sender<Command>>,
    pub writer: Option<JoinHandle<()>>,
    /// The multihash that was last read to see whether blocks can be read.
    pub checked: Mutex<Vec<u8>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has said so already, and the folder is to be let go.
            let _ = writer.join();
        }
    }
}

impl Handle {
    /// Reads the index, once it is open again if the disk failed under it.
    pub fn look<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.shared.index.is_lost() {
            self.ask(Command::CatchUp)?;
        }
        self.shared.index.read(read)
    }

    /// Has the writer do something, and waits for its answer.
    pub fn ask<T>(&self, command: impl FnOnce(SyncSender<Result<T, StoreError>>) -> Command) -> Result<T, StoreError> {
        let (reply, answer) = sync_channel(1);
        self.send(command(reply))?;
        answer.recv().map_err(|_| StoreError::Closed)?
    }

    /// Queues a command, and never blocks.
    pub fn send(&self, command: Command) -> Result<(), StoreError> {
        let sender = self.sender.as_ref().ok_or(StoreError::Closed)?;
        sender.send(command).map_err(|_| StoreError::Closed)
    }
}
