// The official client, unmodified: in one go, in pieces, in parallel, with a length that comes later,
// ended, and resumed after the server was killed half-way.
// ROOST_URL names a running server. ROOST_KILL is a named pipe: a line in it has the server killed,
// and started again on the same port.
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { test } from 'node:test'

import * as tus from 'tus-js-client'

const url = process.env.ROOST_URL
const MiB = 1024 * 1024

async function post(path, body, token) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      ...(token && { Authorization: `Bearer ${token}` }),
    },
    body: JSON.stringify(body),
  })
  assert.equal(response.status, 200)
  return response.json()
}

async function person() {
  const email = `${randomUUID()}@example.com`
  const password = 'correct horse battery staple'
  const session = await post('/auth/v1/signup', { email, password })
  const token = session.access_token
  const workspace = await post('/rpc/create_workspace', { name: 'Notes', path: '/notes' }, token)
  return { token, workspaceId: workspace.id }
}

// Uploads; answers the file's id and the upload.
function upload(ada, data, options = {}) {
  return new Promise((resolve, reject) => {
    let fileId = null
    const made = new tus.Upload(data, {
      endpoint: `${url}/files/`,
      headers: { Authorization: `Bearer ${ada.token}` },
      metadata: { workspace_id: ada.workspaceId, path: 'Größe/写真.jpg', filetype: 'image/jpeg' },
      retryDelays: [0, 50, 100],
      onError: reject,
      onAfterResponse: (_request, response) => {
        fileId = response.getHeader('X-Roost-File') ?? fileId
      },
      onSuccess: () => resolve({ fileId, made }),
      ...options,
    })
    made.start()
  })
}

async function download(ada, fileId) {
  const response = await fetch(`${url}/content/${fileId}`, {
    headers: { Authorization: `Bearer ${ada.token}` },
  })
  assert.equal(response.status, 200)
  return Buffer.from(await response.arrayBuffer())
}

function hash(data) {
  return createHash('sha256').update(data).digest('hex')
}

const data = randomBytes(5 * MiB + 12345)

for (const [name, options] of Object.entries({
  'in one go': {},
  'in pieces that fit no chunk': { chunkSize: 700_001 },
  'with the announcement': { uploadDataDuringCreation: true, chunkSize: 2 * MiB },
  'in parallel': { parallelUploads: 4 },
  'with a method that proxies let through': { overridePatchMethod: true, chunkSize: MiB },
})) {
  test(name, async () => {
    const ada = await person()
    const { fileId } = await upload(ada, data, options)
    assert.equal(hash(await download(ada, fileId)), hash(data))
  })
}

test('a length that comes later', async () => {
  const ada = await person()
  const { fileId } = await upload(ada, Readable.from([data.subarray(0, MiB), data.subarray(MiB)]), {
    uploadLengthDeferred: true,
    chunkSize: MiB,
  })
  assert.equal(hash(await download(ada, fileId)), hash(data))
})

test('nothing in it', async () => {
  const ada = await person()
  const { fileId } = await upload(ada, Buffer.alloc(0))
  assert.equal((await download(ada, fileId)).length, 0)
})

test('ended half-way', async () => {
  const ada = await person()
  await new Promise((resolve, reject) => {
    const made = new tus.Upload(data, {
      endpoint: `${url}/files/`,
      headers: { Authorization: `Bearer ${ada.token}` },
      metadata: { workspace_id: ada.workspaceId, path: 'ended' },
      chunkSize: MiB,
      onError: reject,
      onChunkComplete: async (_size, accepted) => {
        if (accepted !== MiB) return
        await made.abort(true)
        const { status } = await fetch(made.url, {
          method: 'HEAD',
          headers: { Authorization: `Bearer ${ada.token}`, 'Tus-Resumable': '1.0.0' },
        })
        assert.equal(status, 404)
        resolve()
      },
    })
    made.start()
  })
})

for (const [name, options] of Object.entries({
  'resumes after the server was killed': { chunkSize: MiB },
  'resumes in parallel after the server was killed': { chunkSize: MiB / 2, parallelUploads: 2 },
})) {
  test(name, async () => {
    const ada = await person()
    let killed = false
    const { fileId } = await upload(ada, data, {
      ...options,
      retryDelays: [100, 200, 400, 800, 1600, 3200],
      onChunkComplete: () => {
        if (killed) return
        killed = true
        writeFileSync(process.env.ROOST_KILL, 'kill\n')
      },
    })
    assert.ok(killed)
    assert.equal(hash(await download(ada, fileId)), hash(data))
  })
}
