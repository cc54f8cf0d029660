//! What the writer is asked to do, and how it answers.
use std::sync::mpsc::SyncSender;

use cid::multihash::Multihash;
use pinrail_domain::DagSize;

use crate::nodes::Incoming;
use crate::{Collected, Committed, NodeKey, StoreError};

/// Where an answer goes.
pub(crate) type Reply<T> = SyncSender<Result<T, StoreError>>;

/// What the writer is asked to do.
pub(crate) enum Command {
    /// Commit a node.
    Node(Incoming),
    /// Change where a root stands.
    Root(NodeKey, u64, RootCall, Reply<()>),
    /// Give up damaged bytes.
    Discard(Multihash<64>, Reply<()>),
    /// Collect one step, at this time in milliseconds.
    Collect(u64, Reply<Collected>),
    /// Open the index again, if it is lost.
    CatchUp(Reply<()>),
}

/// What is to become of a root.
#[derive(Clone, Copy)]
pub(crate) enum RootCall {
    Begin,
    Finish(DagSize),
    /// Failed, and kept until then, in milliseconds.
    Fail(u64),
    Release,
}

/// What became of a command of a batch, to be said once the batch is durable.
pub(crate) enum Answer {
    Node(Committed),
    Plain(Result<(), StoreError>),
}

/// Bytes of blocks that come with a command.
pub(crate) fn size_of_command(command: &Command) -> usize {
    match command {
        Command::Node(incoming) => incoming.bytes.as_ref().map_or(0, bytes::Bytes::len),
        _ => 0,
    }
}

/// The answer to a command that was not done.
pub(crate) fn refusal(command: &Command, error: &StoreError) -> Answer {
    match command {
        Command::Node(incoming) => Answer::Node(refused_node(incoming.key, error.clone())),
        _ => Answer::Plain(Err(error.clone())),
    }
}

/// Says of a whole batch that it was not done.
pub(crate) fn refuse(batch: Vec<Command>, error: &StoreError) {
    let answers = batch.iter().map(|command| refusal(command, error)).collect();
    say(batch, answers);
}

/// The answer to a node that was not committed.
pub(crate) fn refused_node(key: NodeKey, error: StoreError) -> Committed {
    Committed { key, size: 0, missing: Vec::new(), result: Err(error) }
}

/// Answers a batch. Whoever does not listen any more does not need to know.
pub(crate) fn say(batch: Vec<Command>, answers: Vec<Answer>) {
    for (command, answer) in batch.into_iter().zip(answers) {
        match (command, answer) {
            (Command::Node(incoming), Answer::Node(committed)) => {
                let _ = incoming.done.send(committed);
            }
            (Command::Root(.., reply) | Command::Discard(_, reply), Answer::Plain(result)) => {
                let _ = reply.send(result);
            }
            _ => {}
        }
    }
}
