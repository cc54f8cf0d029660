//! Reads CARs: version 1, and the one of version 1 within version 2.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;
use cid::Cid;
use pinrail_ipfs::{MAX_BLOCK_BYTES, hash, links};
use pinrail_spec::multicodec::DAG_CBOR;

use crate::UnixFsError;
use crate::importer::Importer;

/// The first bytes of version 2: a header of version 1 that says nothing but `version: 2`.
const PRAGMA_2: [u8; 11] = [0x0a, 0xa1, 0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 2];
/// Where the inner CAR's place stands in a CAR of version 2, after the pragma and 16 bytes of characteristics.
const INNER_AT: usize = 27;
/// Other nodes' CIDs are not longer.
const MAX_CID_BYTES: usize = 168;
const MAX_HEADER_BYTES: usize = 1 << 20;

/// Store all blocks of a CAR, each held against its CID; its roots.
pub fn add(importer: &mut Importer<'_>, path: &Path) -> Result<Vec<Cid>, UnixFsError> {
    let mut file = File::open(path).map_err(UnixFsError::file(path))?;
    let (start, length) = find_inner(&mut file, path)?;
    file.seek(SeekFrom::Start(start)).map_err(UnixFsError::file(path))?;
    let mut reader = BufReader::with_capacity(1 << 20, file).take(length);
    let header = read_section(&mut reader, MAX_HEADER_BYTES, path)?;
    let roots = read_header(&header.ok_or_else(|| not_car("it is empty"))?)?;
    while let Some(section) = read_section(&mut reader, MAX_CID_BYTES + MAX_BLOCK_BYTES, path)? {
        let mut rest = &section[..];
        let cid = Cid::read_bytes(&mut rest).map_err(|error| not_car(&format!("a block without a CID: {error}")))?;
        let bytes = section.slice(section.len() - rest.len()..);
        check(&cid, &bytes)?;
        importer.put_verified(&cid, bytes)?;
    }
    Ok(roots)
}

/// Where the CAR of version 1 begins and how long it is at most.
fn find_inner(file: &mut File, path: &Path) -> Result<(u64, u64), UnixFsError> {
    let mut head = Vec::with_capacity(51);
    file.take(51).read_to_end(&mut head).map_err(UnixFsError::file(path))?;
    if !head.starts_with(&PRAGMA_2) {
        return Ok((0, u64::MAX));
    }
    let number = |at: usize| {
        let bytes = head.get(at..at + 8).and_then(|bytes| bytes.try_into().ok());
        bytes.map(u64::from_le_bytes).ok_or_else(|| not_car("the header of version 2 is cut off"))
    };
    Ok((number(INNER_AT)?, number(INNER_AT + 8)?))
}

/// The roots are the links of the header, a block of dag-cbor.
fn read_header(header: &[u8]) -> Result<Vec<Cid>, UnixFsError> {
    let is_first = header.windows(9).any(|window| window == b"\x67version\x01");
    if !is_first {
        return Err(not_car("the header does not say version 1"));
    }
    let roots = links(DAG_CBOR, header).map_err(|error| not_car(&format!("its header is {error}")))?;
    if roots.is_empty() { Err(not_car("it names no root")) } else { Ok(roots) }
}

/// The next part with a length before it; none at the end, which zeros may pad.
fn read_section(reader: &mut impl BufRead, limit: usize, path: &Path) -> Result<Option<Bytes>, UnixFsError> {
    if reader.fill_buf().map_err(UnixFsError::file(path))?.is_empty() {
        return Ok(None);
    }
    let length = unsigned_varint::io::read_usize(&mut *reader).map_err(|error| not_car(&error.to_string()))?;
    if length == 0 {
        return skip_padding(reader, path).map(|()| None);
    }
    if length > limit {
        return Err(not_car(&format!("a section of {length} bytes, wanted at most {limit}")));
    }
    let mut section = vec![0; length];
    reader.read_exact(&mut section).map_err(|_| not_car("it is cut off"))?;
    Ok(Some(section.into()))
}

/// Read zeros up to the end.
fn skip_padding(reader: &mut impl BufRead, path: &Path) -> Result<(), UnixFsError> {
    loop {
        let part = reader.fill_buf().map_err(UnixFsError::file(path))?;
        if part.is_empty() {
            return Ok(());
        }
        if part.iter().any(|byte| *byte != 0) {
            return Err(not_car("a section of 0 bytes before its end, wanted nothing but zeros behind it"));
        }
        let length = part.len();
        reader.consume(length);
    }
}

fn check(cid: &Cid, bytes: &[u8]) -> Result<(), UnixFsError> {
    let wanted = cid.hash();
    let bad = |reason: String| UnixFsError::BadBlock { cid: Box::new(*cid), reason };
    hash::check_supported(wanted).map_err(|name| bad(format!("hashed with {name}, which is not supported")))?;
    if bytes.len() > MAX_BLOCK_BYTES {
        return Err(bad(format!("it has {} bytes, wanted at most 2 MiB", bytes.len())));
    }
    if hash::matches(wanted, bytes) { Ok(()) } else { Err(UnixFsError::Mismatch(Box::new(*cid))) }
}

fn not_car(reason: &str) -> UnixFsError {
    UnixFsError::NotCar(reason.to_owned())
}
