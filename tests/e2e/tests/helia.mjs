// Helia as a peer of Pinrail in both directions, and its remote pinning as a client.
// The one argument is JSON: { endpoint, token, delegates, provided: [{ path, cid, addresses }] }.
// One line of JSON for each check: { "name": …, "error": … }, the error only where it failed.

import assert from 'node:assert/strict'
import { readFile, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { withBitswap } from '@helia/bitswap'
import { withLibp2pLight } from '@helia/libp2p'
import { createRemotePins } from '@helia/remote-pinning'
import { unixfs } from '@helia/unixfs'
import * as dagCbor from '@ipld/dag-cbor'
import * as dagJson from '@ipld/dag-json'
import * as dagPb from '@ipld/dag-pb'
import { identify } from '@libp2p/identify'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { MemoryBlockstore } from 'blockstore-core'
import { MemoryDatastore } from 'datastore-core'
import { createHeliaLight } from 'helia'
import { CID } from 'multiformats/cid'
import * as raw from 'multiformats/codecs/raw'
import { sha256, sha512 } from 'multiformats/hashes/sha2'

const { endpoint, token, provided } = JSON.parse(process.argv[2])
const PATIENCE = 60_000
const codecs = new Map([dagPb, dagCbor, dagJson, raw].map((codec) => [codec.code, codec]))

/** A node that knows nobody and is known to nobody. */
async function startNode () {
  const light = createHeliaLight({
    blockstore: new MemoryBlockstore(),
    datastore: new MemoryDatastore(),
    codecs: [dagCbor, dagJson],
    hashers: [sha512]
  })
  const node = withBitswap(withLibp2pLight(light, {
    addresses: { listen: ['/ip4/127.0.0.1/tcp/0'] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify() }
  }))
  await node.start()
  return node
}

/** Bytes without a pattern that are the same in each run. */
async function bytes (seed, length) {
  const parts = []
  for (let index = 0; parts.length * 32 < length; index++) {
    parts.push((await sha256.encode(new TextEncoder().encode(`${seed} ${index}`))))
  }
  return Buffer.concat(parts).subarray(0, length)
}

async function put (node, codec, value, hasher = sha256) {
  const block = codec.encode(value)
  const cid = CID.createV1(codec.code, await hasher.digest(block))
  await node.blockstore.put(cid, block)
  return cid
}

/** A DAG of each kind. */
const dags = {
  'a raw block': (node) => put(node, raw, Buffer.from('one raw block')),
  'an empty file': (node) => unixfs(node).addBytes(new Uint8Array()),
  'a file of many blocks': async (node) => unixfs(node).addBytes(await bytes('file', 5 << 20)),
  'a folder': async (node) => addFolder(node, await files('folder', 20, 3000), {}),
  'a sharded folder': async (node) => addFolder(node, await files('shard', 300, 40), { shardSplitThresholdBytes: 1 }),
  'a DAG of dag-cbor': (node) => tree(node, dagCbor),
  'a DAG of dag-json': (node) => tree(node, dagJson),
  'a DAG of all four codecs': async (node) => put(node, dagCbor, {
    file: await unixfs(node).addBytes(await bytes('mixed', 2 << 20)),
    json: await put(node, dagJson, { leaf: await put(node, raw, Buffer.from('leaf')) }),
    inline: CID.parse('bafkqaaa')
  }),
  'a DAG hashed with sha2-512': async (node) => put(node, dagCbor, {
    child: await put(node, raw, Buffer.from('long digest'), sha512)
  }, sha512)
}

async function tree (node, codec) {
  const leaves = []
  for (let index = 0; index < 50; index++) {
    leaves.push(await put(node, codec, { index, name: `leaf ${index} of ${codec.name}` }))
  }
  return put(node, codec, { leaves, again: leaves[0] })
}

async function files (name, count, length) {
  const list = []
  for (let index = 0; index < count; index++) {
    list.push({ path: `${name}/file ${index}`, content: await bytes(`${name} ${index}`, length) })
  }
  return list
}

async function addFolder (node, list, options) {
  let last
  for await (const entry of unixfs(node).addAll(list, { wrapWithDirectory: false, ...options })) {
    last = entry
  }
  return last.cid
}

/** Every block under a root, as its CID and its bytes. */
async function walk (node, root, signal) {
  const blocks = new Map()
  const waiting = [root]
  while (waiting.length > 0) {
    const cid = waiting.pop()
    if (blocks.has(cid.toString())) {
      continue
    }
    const block = await read(node, cid, signal)
    blocks.set(cid.toString(), Buffer.from(block).toString('hex'))
    const codec = codecs.get(cid.code)
    if (cid.code !== raw.code) {
      waiting.push(...links(codec.decode(block)))
    }
  }
  return blocks
}

async function read (node, cid, signal) {
  if (cid.multihash.code === 0) {
    return cid.multihash.digest
  }
  const parts = []
  for await (const part of node.blockstore.get(cid, { signal })) {
    parts.push(part)
  }
  return Buffer.concat(parts)
}

function links (value) {
  const cid = CID.asCID(value)
  if (cid != null) {
    return [cid]
  }
  if (value == null || typeof value !== 'object' || value instanceof Uint8Array) {
    return []
  }
  return Object.values(value).flatMap(links)
}

function remotePins (node) {
  // The client speaks to a libp2p of the generation before: addresses cross over as text.
  const libp2p = {
    getMultiaddrs: () => node.libp2p.getMultiaddrs(),
    dial: (addresses, options) => node.libp2p.dial(addresses.map((address) => multiaddr(address.toString())), options)
  }
  return createRemotePins({ libp2p }, { endpointUrl: endpoint, accessToken: token, pollInterval: 200 })
}

async function pin (pins, cid, options) {
  for await (const pinned of pins.add(cid, { signal: AbortSignal.timeout(PATIENCE), ...options })) {
    assert.equal(pinned.toString(), cid.toString())
  }
}

async function delegatesOf (cid) {
  const answer = await fetch(`${endpoint}/pins?cid=${cid}`, { headers: { authorization: `Bearer ${token}` } })
  const { results } = await answer.json()
  return results[0].delegates.map((address) => multiaddr(address))
}

async function check (name, run) {
  try {
    await run()
    console.log(JSON.stringify({ name }))
  } catch (error) {
    console.log(JSON.stringify({ name, error: `${error?.stack ?? error}` }))
  }
}

async function inBothDirections (name, build) {
  const offering = await startNode()
  let cid
  let held
  await check(`Pinrail fetches ${name} from Helia`, async () => {
    cid = await build(offering)
    held = await walk(offering, cid)
    await pin(remotePins(offering), cid, { name })
  })
  await offering.stop()
  await check(`Helia fetches ${name} from Pinrail`, async () => {
    await fetched(await delegatesOf(cid), cid, held)
  })
}

/** Whether a node that has nothing gets the whole DAG from these addresses. */
async function fetched (addresses, cid, held) {
  const node = await startNode()
  try {
    await node.libp2p.dial(addresses)
    const blocks = await walk(node, cid, AbortSignal.timeout(PATIENCE))
    if (held != null) {
      assert.deepEqual(blocks, held)
    }
    return node
  } finally {
    await node.stop()
  }
}

async function sameCid ({ path, cid, addresses }) {
  const node = await startNode()
  let held
  await check(`pinrail-worker provide and Helia name ${basename(path)} alike`, async () => {
    const own = await addPath(node, path)
    assert.equal(cid, own.toString())
    held = await walk(node, own)
  })
  await node.stop()
  await check(`Helia fetches ${basename(path)} from pinrail-worker provide`, async () => {
    await fetched(addresses.map((address) => multiaddr(address)), CID.parse(cid), held)
  })
}

async function addPath (node, path) {
  if ((await stat(path)).isFile()) {
    return unixfs(node).addBytes(await readFile(path))
  }
  const list = []
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) {
      const file = join(entry.parentPath, entry.name)
      list.push({ path: join('root', file.slice(path.length)), content: await readFile(file) })
    }
  }
  return addFolder(node, list, {})
}

async function client () {
  const node = await startNode()
  const pins = remotePins(node)
  const cid = await put(node, raw, Buffer.from('for the client'))
  await check('remote pinning adds, lists and finds', async () => {
    await pin(pins, cid, { name: 'client', metadata: { app: 'test' } })
    assert.equal(await pins.isPinned(cid), true)
    const found = await pins.get(cid)
    assert.equal(found.cid.toString(), cid.toString())
    assert.deepEqual(found.metadata, { app: 'test' })
    const listed = []
    for await (const entry of pins.ls({ cid, name: 'client' })) {
      listed.push(entry.status)
    }
    assert.deepEqual(listed, ['pinned'])
  })
  await check('remote pinning changes the metadata', async () => {
    await pins.setMetadata(cid, { app: 'changed' })
    assert.deepEqual((await pins.get(cid)).metadata, { app: 'changed' })
  })
  await check('remote pinning removes', async () => {
    for await (const removed of pins.rm(cid)) {
      assert.equal(removed.toString(), cid.toString())
    }
    assert.equal(await pins.isPinned(cid), false)
  })
  await node.stop()
}

for (const [name, build] of Object.entries(dags)) {
  await inBothDirections(name, build)
}
for (const item of provided) {
  await sameCid(item)
}
await client()
console.log(JSON.stringify({ end: true }))
process.exit(0)
