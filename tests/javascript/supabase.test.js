// The official client, unmodified: sign-up to sign-out, calls, and a private channel.
// ROOST_URL names a running server. The key is not looked at; the client wants one.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, mock, test } from 'node:test'

import { createClient } from '@supabase/supabase-js'

const url = process.env.ROOST_URL
const password = 'correct horse battery staple'
const clients = []

function client(options) {
  const made = createClient(url, 'anon', options)
  clients.push(made)
  return made
}

after(async () => {
  const { mock: timers } = mock.method(globalThis, 'setTimeout')
  await Promise.all(clients.map((made) => made.realtime.disconnect()))
  // Each disconnect() leaves a timer of ten seconds behind, for which node would wait.
  for (const { result } of timers.calls) clearTimeout(result)
})

function succeeded({ data, error }) {
  assert.equal(error, null)
  return data
}

async function person() {
  const supabase = client()
  const email = `${randomUUID()}@example.com`
  const { user } = succeeded(await supabase.auth.signUp({ email, password }))
  return { supabase, email, id: user.id }
}

function subscribed(channel) {
  return new Promise((resolve, reject) => {
    channel.subscribe((status, error) => {
      if (status === 'SUBSCRIBED') resolve(channel)
      else reject(error ?? new Error(status))
    })
  })
}

// Two people, a conversation of theirs, and its channel for each, not joined yet.
async function conversation(broadcast = {}) {
  const ada = await person()
  const grace = await person()
  const { id } = succeeded(
    await ada.supabase.rpc('create_conversation', { participants: [grace.id] }),
  )
  const name = `conversation:${id}`
  const config = { private: true, broadcast }
  return {
    id,
    ada,
    grace,
    sends: ada.supabase.channel(name, { config }),
    hears: grace.supabase.channel(name, { config: { private: true } }),
  }
}

// Collects broadcasts; `until(n)` waits for the n-th.
function collector(channel, event) {
  const received = []
  let wake = () => {}
  channel.on('broadcast', { event }, (message) => {
    received.push(message)
    wake()
  })
  return {
    received,
    async until(count) {
      while (received.length < count) await new Promise((resolve) => (wake = resolve))
      return received
    },
  }
}

test('signs up, and refuses a second account and a weak password', async () => {
  const supabase = client()
  const email = `${randomUUID()}@example.com`
  const made = succeeded(
    await supabase.auth.signUp({ email, password, options: { data: { colour: 'green' } } }),
  )
  assert.equal(made.user.email, email)
  assert.deepEqual(made.user.user_metadata.colour, 'green')
  assert.ok(made.session.access_token)

  const again = await client().auth.signUp({ email, password })
  assert.equal(again.error.code, 'user_already_exists')
  const weak = await client().auth.signUp({ email: `x${email}`, password: 'short' })
  assert.equal(weak.error.name, 'AuthWeakPasswordError')
})

test('signs in, refreshes, reads and changes the user, signs out', async () => {
  const { email, id } = await person()
  const supabase = client()
  const wrong = await supabase.auth.signInWithPassword({ email, password: 'something else' })
  assert.equal(wrong.error.code, 'invalid_credentials')

  const { session } = succeeded(await supabase.auth.signInWithPassword({ email, password }))
  const refreshed = succeeded(await supabase.auth.refreshSession())
  assert.notEqual(refreshed.session.refresh_token, session.refresh_token)
  assert.equal(succeeded(await supabase.auth.getUser()).user.id, id)

  const changed = succeeded(await supabase.auth.updateUser({ data: { display_name: 'Ada' } }))
  assert.equal(changed.user.user_metadata.display_name, 'Ada')

  const { access_token: token } = refreshed.session
  assert.equal((await supabase.auth.signOut()).error, null)
  assert.equal((await supabase.auth.getSession()).data.session, null)
  const ended = await client().auth.getUser(token)
  assert.equal(ended.error.name, 'AuthSessionMissingError')
})

test('calls functions, signed in and signed out', async () => {
  assert.equal(succeeded(await client().rpc('ping')), 'pong')
  const refused = await client().rpc('get_me')
  assert.equal(refused.status, 401)

  const { supabase, id } = await person()
  const conversation = succeeded(await supabase.rpc('create_conversation', { title: 'Plans' }))
  assert.equal(conversation.user_id, id)
  const listed = await supabase.rpc('list_conversations', {}, { count: 'exact' })
  assert.equal(listed.count, 1)
  assert.equal(succeeded(await supabase.rpc('list_conversations').single()).title, 'Plans')
  const none = { conversation_id: conversation.id }
  assert.equal(succeeded(await supabase.rpc('list_messages', none).maybeSingle()), null)
  assert.equal((await supabase.rpc('list_messages', none).single()).error.code, 'PGRST116')

  const unknown = await supabase.rpc('create_conversatoin', { title: 'Plans' })
  assert.equal(unknown.error.code, 'PGRST202')
  assert.match(unknown.error.hint, /create_conversation/)
  const named = client({ db: { schema: 'api' } })
  assert.equal(succeeded(await named.rpc('ping')), 'pong')
})

test('a private channel gets what is sent, and resumes where it was', async () => {
  const ada = await person()
  const grace = await person()
  const conversation = succeeded(
    await ada.supabase.rpc('create_conversation', { participants: [grace.id] }),
  )
  const send = (number) =>
    ada.supabase
      .rpc('send_message', { conversation_id: conversation.id, content: { text: `${number}` } })
      .then(succeeded)

  const name = `conversation:${conversation.id}`
  const channel = grace.supabase.channel(name, { config: { private: true } })
  const live = collector(channel, 'message.created')
  await subscribed(channel)
  const first = await send(1)
  const [message] = await live.until(1)
  assert.deepEqual(message.payload, first)
  assert.equal(message.meta.offset, first.seq)

  await grace.supabase.removeChannel(channel)
  for (let number = 2; number <= 11; number += 1) await send(number)
  const resumed = grace.supabase.channel(name, {
    config: { private: true, broadcast: { replay: { after: message.meta.offset } } },
  })
  const rest = collector(resumed, 'message.created')
  await subscribed(resumed)
  await send(12)
  await rest.until(11)
  assert.deepEqual(
    rest.received.map((each) => Number(each.payload.content.text)),
    [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12],
  )
})

test("somebody else's channel is refused, and the socket stays open", async () => {
  const ada = await person()
  const outsider = await person()
  const conversation = succeeded(await ada.supabase.rpc('create_conversation'))

  const refused = outsider.supabase.channel(`conversation:${conversation.id}`, {
    config: { private: true },
  })
  await assert.rejects(subscribed(refused), /Unauthorized/)
  await outsider.supabase.removeChannel(refused)

  const inbox = outsider.supabase.channel(`user:${outsider.id}`, { config: { private: true } })
  const added = collector(inbox, 'conversation.added')
  await subscribed(inbox)
  succeeded(
    await ada.supabase.rpc('add_participant', {
      conversation_id: conversation.id,
      user_id: outsider.id,
    }),
  )
  const [event] = await added.until(1)
  assert.equal(event.payload.conversation_id, conversation.id)
})

for (const vsn of ['1.0.0', '2.0.0']) {
  test(`broadcasts of a client that speaks ${vsn} arrive in order`, async () => {
    const { ada, hears } = await conversation()
    const heard = collector(hears, 'cursor')
    await subscribed(hears)
    const supabase = client({ realtime: { vsn } })
    succeeded(await supabase.auth.signInWithPassword({ email: ada.email, password }))
    const sends = supabase.channel(hears.subTopic, { config: { private: true } })
    const own = collector(sends, 'cursor')
    await subscribed(sends)
    for (let x = 0; x < 50; x += 1) {
      const sent = await sends.send({ type: 'broadcast', event: 'cursor', payload: { x, y: 'ü' } })
      assert.equal(sent, 'ok')
    }
    await heard.until(50)
    assert.deepEqual(
      heard.received,
      Array.from({ length: 50 }, (_, x) => ({
        type: 'broadcast',
        event: 'cursor',
        payload: { x, y: 'ü' },
      })),
    )
    assert.deepEqual(own.received, [])
  })
}

test('with ack a broadcast is confirmed, and one that is refused is an error', async () => {
  const { sends, hears } = await conversation({ ack: true })
  const heard = collector(hears, '*')
  await subscribed(hears)
  await subscribed(sends)
  const send = (event) => sends.send({ type: 'broadcast', event, payload: { event } })
  assert.equal(await send('cursor'), 'ok')
  assert.equal(await send('message.created'), 'error')
  assert.equal(await send('typing'), 'error')
  assert.equal(await send('cursor'), 'ok')
  await heard.until(2)
  assert.deepEqual(
    heard.received.map((each) => each.event),
    ['cursor', 'cursor'],
  )
})

test('without ack a refusal disturbs nothing', async () => {
  const { sends, hears } = await conversation()
  const heard = collector(hears, 'cursor')
  await subscribed(hears)
  await subscribed(sends)
  assert.equal(await sends.send({ type: 'broadcast', event: 'typing', payload: {} }), 'ok')
  assert.equal(await sends.send({ type: 'broadcast', event: 'cursor', payload: {} }), 'ok')
  await heard.until(1)
  assert.equal(sends.state, 'joined')
})

test('with self a broadcast comes back', async () => {
  const { sends } = await conversation({ self: true })
  const own = collector(sends, 'cursor')
  await subscribed(sends)
  await sends.send({ type: 'broadcast', event: 'cursor', payload: { x: 1 } })
  await own.until(1)
  assert.deepEqual(own.received[0].payload, { x: 1 })
})

test('bytes are sent and received as bytes', async () => {
  const { sends, hears } = await conversation({ self: true })
  const heard = collector(hears, 'drawing')
  const own = collector(sends, 'drawing')
  await subscribed(hears)
  await subscribed(sends)
  const payload = Uint8Array.from({ length: 1000 }, (_, n) => n % 256).buffer
  assert.equal(await sends.send({ type: 'broadcast', event: 'drawing', payload }), 'ok')
  for (const { received, until } of [heard, own]) {
    await until(1)
    assert.ok(received[0].payload instanceof ArrayBuffer)
    assert.deepEqual(new Uint8Array(received[0].payload), new Uint8Array(payload))
    assert.deepEqual(Object.keys(received[0]).sort(), ['event', 'payload', 'type'])
  }
})

test('before it has joined a channel sends over HTTP', async () => {
  const { sends, hears } = await conversation()
  const heard = collector(hears, 'cursor')
  await subscribed(hears)
  const send = (event) => sends.send({ type: 'broadcast', event, payload: { x: 1 } })
  const { mock: warnings } = mock.method(console, 'warn', () => {})
  assert.equal(await send('cursor'), 'ok')
  assert.equal(await send('typing'), 'error')
  warnings.restore()
  await heard.until(1)
  assert.deepEqual(heard.received[0].payload, { x: 1 })
})

test('httpSend() sends JSON and bytes, and says why not', async () => {
  const { sends, hears, grace } = await conversation()
  const heard = collector(hears, 'two words')
  await subscribed(hears)
  assert.deepEqual(await sends.httpSend('two words', { x: 1 }), { success: true })
  const bytes = Uint8Array.from([0, 255, 7])
  assert.deepEqual(await sends.httpSend('two words', bytes), { success: true })
  await heard.until(2)
  assert.deepEqual(heard.received[0].payload, { x: 1 })
  assert.deepEqual(new Uint8Array(heard.received[1].payload), bytes)

  await assert.rejects(sends.httpSend('typing', {}), /come from the server alone/)
  const inbox = sends.socket.channel(`user:${grace.id}`, { config: { private: true } })
  await assert.rejects(inbox.httpSend('x', {}), /may not broadcast/)
  const open = sends.socket.channel(`user:${grace.id}x`)
  await assert.rejects(open.httpSend('x', {}), /private channels only/)
  const stored = sends.httpSend('x', {}, { persist: true })
  await assert.rejects(stored, /not stored/)
})

test('a cut connection comes back, joins again, and lacks nothing', async () => {
  const { id, ada, grace, sends } = await conversation()
  const hears = grace.supabase.channel(`conversation:${id}`, {
    config: { private: true, broadcast: { replay: { after: 0 } } },
  })
  const live = collector(hears, 'message.created')
  const cursors = collector(hears, 'cursor')
  let joins = 0
  let wake = () => {}
  hears.subscribe((status) => {
    if (status === 'SUBSCRIBED') joins += 1
    wake()
  })
  const joined = async (count) => {
    while (joins < count) await new Promise((resolve) => (wake = resolve))
  }
  await joined(1)
  const send = (number) =>
    ada.supabase
      .rpc('send_message', { conversation_id: id, content: { text: `${number}` } })
      .then(succeeded)
  for (let number = 1; number <= 3; number += 1) await send(number)
  await live.until(3)

  // As an app keeps its place: what it joins with is where it is.
  const { offset, epoch } = live.received[2].meta
  const { config } = hears.joinPush.payload()
  hears.updateJoinPayload({ config: { ...config, broadcast: { replay: { after: offset, epoch } } } })
  // The client did not ask for this end; 4000 to 4999 are free for applications.
  grace.supabase.realtime.socketAdapter.getSocket().conn.close(4000)
  for (let number = 4; number <= 6; number += 1) await send(number)
  await joined(2)
  await live.until(6)
  assert.deepEqual(
    live.received.map((each) => [each.meta.offset, Number(each.payload.content.text)]),
    [1, 2, 3, 4, 5, 6].map((number) => [number, number]),
  )
  assert.deepEqual(
    live.received.map((each) => each.meta.replayed ?? false),
    [false, false, false, true, true, true],
  )

  await subscribed(sends)
  await sends.send({ type: 'broadcast', event: 'cursor', payload: {} })
  await hears.send({ type: 'broadcast', event: 'cursor', payload: {} })
  await cursors.until(1)
})

test('a new token keeps a live channel, which sends on', async () => {
  const { ada, sends, hears } = await conversation({ ack: true })
  const heard = collector(hears, 'cursor')
  await subscribed(hears)
  await subscribed(sends)
  const send = (x) => sends.send({ type: 'broadcast', event: 'cursor', payload: { x } })
  assert.equal(await send(1), 'ok')
  const before = ada.supabase.realtime.accessTokenValue
  // Tokens that are made in the same second are alike.
  while (ada.supabase.realtime.accessTokenValue === before) {
    succeeded(await ada.supabase.auth.refreshSession())
    await ada.supabase.realtime.setAuth()
  }
  assert.equal(await send(2), 'ok')
  assert.equal(sends.state, 'joined')
  await heard.until(2)
  assert.deepEqual(
    heard.received.map((each) => each.payload.x),
    [1, 2],
  )
})

test('presence: who comes, changes, leaves and closes, with many metas a key', async () => {
  const ada = await person()
  const grace = await person()
  const conversation = succeeded(
    await ada.supabase.rpc('create_conversation', { participants: [grace.id] }),
  )
  const name = `conversation:${conversation.id}`
  const config = (key) => ({ config: { private: true, presence: { key } } })
  const watching = ada.supabase.channel(name, config('ada'))
  const heard = []
  let wake = () => {}
  for (const event of ['sync', 'join', 'leave']) {
    watching.on('presence', { event }, (payload) => {
      if (event !== 'sync') heard.push(payload)
      wake()
    })
  }
  const seen = () =>
    Object.fromEntries(
      Object.entries(watching.presenceState()).map(([key, metas]) => [
        key,
        metas.map(({ presence_ref: ref, ...rest }) => {
          assert.ok(ref)
          return rest.doing
        }),
      ]),
    )
  const until = async (expected) => {
    while (JSON.stringify(seen()) !== JSON.stringify(expected)) {
      await new Promise((resolve) => (wake = resolve))
    }
  }
  await subscribed(watching)
  await until({})

  // A tracker that listens for nothing.
  const phone = grace.supabase.channel(name, config('grace'))
  await subscribed(phone)
  assert.equal(await phone.track({ doing: 'typing' }), 'ok')
  await until({ grace: ['typing'] })
  assert.equal(await phone.track({ doing: 'nothing' }), 'ok')
  await until({ grace: ['nothing'] })

  const laptop = client()
  succeeded(await laptop.auth.signInWithPassword({ email: grace.email, password }))
  const second = laptop.channel(name, config('grace'))
  const synced = new Promise((resolve) => {
    second.on('presence', { event: 'sync' }, () => resolve(second.presenceState()))
  })
  await subscribed(second)
  assert.deepEqual(Object.keys(await synced), ['grace'])
  assert.equal(await second.track({ doing: 'reading' }), 'ok')
  await until({ grace: ['nothing', 'reading'] })
  assert.equal(await watching.track({ doing: 'watching' }), 'ok')
  await until({ grace: ['nothing', 'reading'], ada: ['watching'] })
  assert.equal(await watching.untrack(), 'ok')
  await until({ grace: ['nothing', 'reading'] })
  assert.equal(await phone.untrack(), 'ok')
  await until({ grace: ['reading'] })
  await laptop.realtime.disconnect()
  await until({})

  assert.deepEqual(
    heard.map(({ event, key }) => `${event} ${key}`).filter((each) => each.startsWith('join')),
    ['join grace', 'join grace', 'join grace', 'join ada'],
  )
  const refused = await phone.track('typing')
  assert.equal(refused, 'error')
})
