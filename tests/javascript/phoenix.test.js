// Phoenix's own client, unmodified, on both addresses.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'

import { createClient } from '@supabase/supabase-js'
import { Socket } from 'phoenix'

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
