//! Peers that tell what they are asked for, and claim to have it or not to have it.

use std::net::Ipv4Addr;
use std::sync::Arc;

use cid::Cid;
use clap::{Args, ValueEnum};
use libp2p::Multiaddr;
use libp2p::swarm::Stream;
use quick_protobuf::BytesReader;
use serde_json::json;

use crate::script::{Script, field, read_message, write_message};
use crate::{ATTACKING, Crowd};

#[derive(Args)]
pub struct Options {
    /// The claim about everything that is asked for; without it nothing is said.
    #[arg(long)]
    claim: Option<Claim>,

    /// The address that the peers come from and listen on.
    #[arg(long, default_value = "127.66.0.1")]
    from: Ipv4Addr,

    /// The number of peers.
    #[arg(long, default_value_t = 1)]
    peers: u32,

    /// Connect to this node; without it the peers wait until they are dialled, and their addresses are printed.
    #[arg(long)]
    to: Option<Multiaddr>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Claim {
    Have,
    DontHave,
}

impl Options {
    /// Answer, and print `asked` with each CID.
    pub async fn run(self) {
        let Self { claim, from, peers, to } = self;
        if let Some(to) = to {
            let attack = move |peer: Arc<Script>| async move {
                // A stream that says nothing keeps the connection.
                let _idle = peer.open().await;
                println!("{ATTACKING}");
                answer(peer, claim).await;
            };
            return Crowd { to, from, peers, spread: false }.attack(attack).await;
        }
        let mut addresses = Vec::new();
        for _ in 0..peers {
            let peer = Arc::new(Script::start_at(from).await);
            addresses.push(peer.address.clone());
            tokio::spawn(answer(peer, claim));
        }
        println!("{}", json!({ "addresses": addresses }));
        std::future::pending::<()>().await;
    }
}

async fn answer(peer: Arc<Script>, claim: Option<Claim>) {
    loop {
        let asked = peer.accept().await;
        let peer = peer.clone();
        tokio::spawn(async move { answer_stream(&peer, asked, claim).await });
    }
}

/// Answer what is asked over one stream.
async fn answer_stream(peer: &Script, mut asked: Stream, claim: Option<Claim>) -> std::io::Result<()> {
    let mut said = None;
    loop {
        let cids = wanted(&read_message(&mut asked).await?).unwrap_or_default();
        for cid in &cids {
            println!("asked {cid}");
        }
        let Some(claim) = claim else { continue };
        let message = cids.iter().flat_map(|cid| claim.about(cid)).collect::<Vec<_>>();
        if said.is_none() {
            said = Some(peer.open().await);
        }
        if let Some(stream) = &mut said {
            write_message(stream, &message).await?;
        }
    }
}

impl Claim {
    /// The line of a message that says so.
    fn about(self, cid: &Cid) -> Vec<u8> {
        let mut line = field(0x0a, &cid.to_bytes());
        if matches!(self, Self::DontHave) {
            line.extend([0x10, 1]);
        }
        field(0x22, &line)
    }
}

/// The CIDs that a message asks for.
fn wanted(message: &[u8]) -> quick_protobuf::Result<Vec<Cid>> {
    let mut cids = Vec::new();
    let mut reader = BytesReader::from_bytes(message);
    while !reader.is_eof() {
        match reader.next_tag(message)? {
            0x0a => {
                let list = reader.read_bytes(message)?;
                let mut entries = BytesReader::from_bytes(list);
                while !entries.is_eof() {
                    match entries.next_tag(list)? {
                        0x0a => cids.extend(read_entry(entries.read_bytes(list)?)?),
                        other => entries.read_unknown(list, other)?,
                    }
                }
            }
            other => reader.read_unknown(message, other)?,
        }
    }
    Ok(cids)
}

/// The CID of an entry, unless it is a cancel.
fn read_entry(entry: &[u8]) -> quick_protobuf::Result<Option<Cid>> {
    let mut reader = BytesReader::from_bytes(entry);
    let (mut cid, mut cancel) = (None, false);
    while !reader.is_eof() {
        match reader.next_tag(entry)? {
            0x0a => cid = Cid::try_from(reader.read_bytes(entry)?).ok(),
            0x18 => cancel = reader.read_bool(entry)?,
            other => reader.read_unknown(entry, other)?,
        }
    }
    Ok(cid.filter(|_| !cancel))
}
