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
