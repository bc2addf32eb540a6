// Phoenix's own client, unmodified, on both addresses.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { createClient } from '@supabase/supabase-js'
import { Presence, Socket } from 'phoenix'

const url = process.env.ROOST_URL
const password = 'correct horse battery staple'

for (const path of ['/socket', '/realtime/v1']) {
  test(`a channel at ${path} gets broadcasts and is left`, async () => {
    const supabase = createClient(url, 'anon')
    const email = `${randomUUID()}@example.com`
    const { data } = await supabase.auth.signUp({ email, password })
    const { data: conversation } = await supabase.rpc('create_conversation', {})

    const socket = new Socket(url.replace('http', 'ws') + path, { params: { apikey: 'anon' } })
    socket.connect()
    const channel = socket.channel(`realtime:conversation:${conversation.id}`, {
      config: { private: true },
      access_token: data.session.access_token,
    })
    const broadcast = new Promise((resolve) => channel.on('broadcast', resolve))
    await new Promise((resolve, reject) => {
      channel.join().receive('ok', resolve).receive('error', reject)
    })
    await supabase.rpc('send_message', {
      conversation_id: conversation.id,
      content: { text: 'hello' },
    })
    const message = await broadcast
    assert.equal(message.event, 'message.created')
    assert.equal(message.payload.content.text, 'hello')
    assert.equal(message.meta.offset, 1)

    await new Promise((resolve) => channel.leave().receive('ok', resolve))
    await new Promise((resolve) => socket.disconnect(resolve))
    await supabase.auth.signOut()
  })
}

test('a client broadcasts, and hears what others broadcast', async () => {
  const supabase = createClient(url, 'anon')
  const email = `${randomUUID()}@example.com`
  const { data } = await supabase.auth.signUp({ email, password })
  const { data: conversation } = await supabase.rpc('create_conversation', {})
  const join = async (broadcast) => {
    const socket = new Socket(`${url.replace('http', 'ws')}/socket`)
    socket.connect()
    const channel = socket.channel(`realtime:conversation:${conversation.id}`, {
      config: { private: true, broadcast },
      access_token: data.session.access_token,
    })
    await new Promise((resolve, reject) => {
      channel.join().receive('ok', resolve).receive('error', reject)
    })
    return { socket, channel }
  }
  const push = (channel, event) =>
    new Promise((resolve) => {
      channel
        .push('broadcast', { type: 'broadcast', event, payload: { n: [1, null, 'ü'] } })
        .receive('ok', (response) => resolve({ ok: response }))
        .receive('error', (response) => resolve({ error: response }))
    })

  const sends = await join({ ack: true })
  const hears = await join({})
  const heard = new Promise((resolve) => hears.channel.on('broadcast', resolve))
  assert.deepEqual(await push(sends.channel, 'cursor'), { ok: {} })
  assert.deepEqual(await heard, {
    type: 'broadcast',
    event: 'cursor',
    payload: { n: [1, null, 'ü'] },
  })
  const { error } = await push(sends.channel, 'typing')
  assert.equal(error.code, 'ReservedEvent')
  assert.ok(error.hint)
  // Phoenix's own binary push says nothing of an event.
  const refused = await new Promise((resolve) => {
    sends.channel.push('broadcast', new ArrayBuffer(3)).receive('error', resolve)
  })
  assert.equal(refused.code, 'MalformedBroadcast')
  await new Promise((resolve) => sends.socket.disconnect(resolve))
  await new Promise((resolve) => hears.socket.disconnect(resolve))
  await supabase.auth.signOut()
})

test('its Presence puts together who is there', async () => {
  const supabase = createClient(url, 'anon')
  const email = `${randomUUID()}@example.com`
  const { data } = await supabase.auth.signUp({ email, password })
  const { data: conversation } = await supabase.rpc('create_conversation', {})

  async function joined(key) {
    const socket = new Socket(`${url.replace('http', 'ws')}/socket`, {})
    socket.connect()
    const channel = socket.channel(`realtime:conversation:${conversation.id}`, {
      config: { private: true, presence: { key, enabled: true } },
      access_token: data.session.access_token,
    })
    const presence = new Presence(channel)
    let wake = () => {}
    presence.onSync(() => wake())
    const until = async (expected) => {
      const seen = () =>
        JSON.stringify(presence.list((each, { metas }) => [each, metas.map(({ n }) => n)]))
      while (seen() !== JSON.stringify(expected)) {
        await new Promise((resolve) => (wake = resolve))
      }
    }
    await new Promise((resolve, reject) => {
      channel.join().receive('ok', resolve).receive('error', reject)
    })
    const push = (event, payload) =>
      new Promise((resolve, reject) => {
        channel
          .push('presence', { type: 'presence', event, payload })
          .receive('ok', resolve)
          .receive('error', reject)
      })
    return { socket, until, push }
  }

  const first = await joined('a')
  await first.push('track', { n: 1 })
  await first.until([['a', [1]]])
  const second = await joined('b')
  await second.until([['a', [1]]])
  for (let n = 2; n <= 50; n += 1) await second.push('track', { n })
  const third = await joined('b')
  await third.push('track', { n: 51 })
  for (const each of [first, second, third]) {
    await each.until([
      ['a', [1]],
      ['b', [50, 51]],
    ])
  }
  await new Promise((resolve) => second.socket.disconnect(resolve))
  await first.until([
    ['a', [1]],
    ['b', [51]],
  ])
  await third.push('untrack')
  await first.until([['a', [1]]])
  await assert.rejects(third.push('track', 'x'), { reason: 'Presence track payload must be a map' })

  await new Promise((resolve) => first.socket.disconnect(resolve))
  await new Promise((resolve) => third.socket.disconnect(resolve))
  await supabase.auth.signOut()
})
