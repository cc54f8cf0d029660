//! Messages that come back as they were sent, and bytes that are no messages.

use futures::io::Cursor;
use pinrail_ipfs::hash::hash;
use proptest::prelude::*;

use super::*;

fn cid(name: &[u8]) -> Cid {
    Cid::new_v1(0x70, hash(0x12, 32, name).expect("sha2-256"))
}

async fn receive(frame: Vec<u8>) -> io::Result<Option<Bytes>> {
    let mut stream = Cursor::new(frame);
    match read_length(&mut stream, Duration::from_secs(1)).await? {
        Some(length) => read_body(&mut stream, length, |_| ()).await.map(Some),
        None => Ok(None),
    }
}

#[tokio::test]
async fn a_wantlist_comes_back_as_it_was_sent() {
    let entries = [
        WantEntry::Want { cid: cid(b"a"), kind: WantKind::Block, send_dont_have: true },
        WantEntry::Want { cid: cid(b"b"), kind: WantKind::Have, send_dont_have: false },
        WantEntry::Cancel(cid(b"c")),
    ];
    let frame = receive(encode_wantlist(&entries)).await.expect("it is read").expect("one message");
    let message = Message::decode(&frame).expect("it is understood");
    assert_eq!(message, Message { entries: entries.to_vec(), ..Message::default() });
}

#[test]
fn blocks_and_presences_come_back_and_blocks_are_not_copied() {
    let content = vec![7; 100_000];
    let mut body = block_header(&cid(b"a"), content.len());
    body.extend(&content);
    body.extend(legacy_block_header(3));
    body.extend(b"old");
    body.extend(encode_presence(&cid(b"b"), true));
    body.extend(encode_presence(&cid(b"c"), false));
    let frame = Bytes::from(body);
    let message = Message::decode(&frame).expect("it is understood");
    let block = |bytes: &[u8]| WireBlock { hash_code: 0x12, digest_size: 32, bytes: Bytes::copy_from_slice(bytes) };
    assert_eq!(message.blocks, [block(&content), block(b"old")]);
    assert_eq!(message.presences, [(cid(b"b"), true), (cid(b"c"), false)]);
    let place = message.blocks[0].bytes.as_ptr() as usize - frame.as_ptr() as usize;
    assert!(place < frame.len(), "the block is a slice of the message");
}

#[test]
fn a_message_without_a_wantlist_or_with_unknown_fields_is_legal() {
    assert_eq!(Message::decode(&Bytes::new()).expect("nothing is legal"), Message::default());
    let unknown = Bytes::from_static(b"\x28\x05\x7a\x03abc");
    assert_eq!(Message::decode(&unknown).expect("unknown fields are skipped"), Message::default());
}

#[test]
fn a_cid_that_cannot_be_held_is_left_out() {
    let mut long = vec![1, 0x55, 0, 65];
    long.extend([1; 65]);
    let (mut entry, mut list, mut body) = (Vec::new(), Vec::new(), Vec::new());
    put_bytes(&mut entry, 0x0a, &long);
    put_bytes(&mut list, 0x0a, &entry);
    put_bytes(&mut list, 0x0a, &encode_entry(&WantEntry::Cancel(cid(b"a"))));
    put_bytes(&mut body, 0x0a, &list);
    let message = Message::decode(&body.into()).expect("it is understood");
    assert_eq!(message.entries, [WantEntry::Cancel(cid(b"a"))]);
}

#[test]
fn items_and_fields_of_a_message_are_bounded_wherever_they_stand() {
    let decode = |body: Vec<u8>| Message::decode(&Bytes::from(body));
    assert_eq!(decode([0x12, 0].repeat(MAX_ITEMS)).expect("as many as that").blocks.len(), MAX_ITEMS);
    assert!(matches!(decode([0x12, 0].repeat(MAX_ITEMS + 1)), Err(DecodeError::TooMany)));
    let presence = encode_presence(&cid(b"a"), true);
    assert!(matches!(decode(presence.repeat(MAX_ITEMS + 1)), Err(DecodeError::TooMany)));
    let inside = |tag: u8, fields: &[u8]| {
        let mut body = Vec::new();
        put_bytes(&mut body, tag, fields);
        body
    };
    // Empty entries, and fields of one entry, of one block, of one presence and of nothing known.
    let many = |field: &[u8]| field.repeat(MAX_FIELDS + 1);
    for body in [
        inside(0x0a, &many(&[0x0a, 0])),
        inside(0x0a, &inside(0x0a, &many(&[0x0a, 0]))),
        inside(0x1a, &many(&[0x12, 0])),
        inside(0x22, &many(&[0x0a, 0])),
        many(&[0x7a, 0]),
    ] {
        assert!(matches!(decode(body), Err(DecodeError::TooMany)));
    }
}

#[tokio::test]
async fn lengths_are_bounded() {
    assert!(receive(length_prefix(MAX_MESSAGE_BYTES + 1)).await.is_err());
    assert!(receive(vec![0xff; 20]).await.is_err());
    assert_eq!(receive(Vec::new()).await.expect("the end"), None);
    assert!(receive(vec![5, 1, 2]).await.is_err(), "cut off");
    assert!(receive(vec![0x80]).await.is_err(), "cut off in the length");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        let _any_answer = Message::decode(&bytes.into());
    }

    #[test]
    fn no_damage_to_a_message_makes_it_panic(at in 0..300_usize, byte: u8) {
        let mut body = block_header(&cid(b"a"), 50);
        body.extend([1; 50]);
        body.extend(encode_presence(&cid(b"b"), false));
        let mut list = Vec::new();
        put_bytes(&mut list, 0x0a, &encode_entry(&WantEntry::Cancel(cid(b"c"))));
        put_bytes(&mut body, 0x0a, &list);
        let at = at % body.len();
        body[at] = byte;
        let _any_answer = Message::decode(&body.into());
    }
}
