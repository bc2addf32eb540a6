// permessage-deflate with the WebSockets that JavaScript has: ws, and the one of Node, which offers
// what browsers do.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, mock, test } from 'node:test'

import { createClient } from '@supabase/supabase-js'
import { WebSocket as Ws } from 'ws'

const url = process.env.ROOST_URL
const password = 'correct horse battery staple'
const text = 'the same words again and again '.repeat(40)

const clients = []

after(async () => {
  const { mock: timers } = mock.method(globalThis, 'setTimeout')
  await Promise.all(clients.map((made) => made.realtime.disconnect()))
  // Each disconnect() leaves a timer of ten seconds behind, for which node would wait.
  for (const { result } of timers.calls) clearTimeout(result)
})

// Counts what comes over the connection, before it is decompressed.
class CountedWs extends Ws {
  static received = 0
  static extensions = ''

  constructor(address, protocols) {
    super(address, protocols, { perMessageDeflate: { threshold: 0 } })
    this.on('upgrade', (response) => {
      CountedWs.extensions = response.headers['sec-websocket-extensions']
      response.socket.on('data', (data) => {
        CountedWs.received += data.length
      })
    })
  }
}

const transports = { ws: CountedWs }
// Newer than 20.
if (globalThis.WebSocket) transports.Node = globalThis.WebSocket

for (const [name, transport] of Object.entries(transports)) {
  test(`${name} takes compressed events, and sends compressed requests`, async () => {
    const supabase = createClient(url, 'anon', { realtime: { transport } })
    clients.push(supabase)
    const { data } = await supabase.auth.signUp({ email: `${randomUUID()}@example.com`, password })
    const { data: conversation } = await supabase.rpc('create_conversation', {})
    const events = []
    let arrived
    const channel = supabase
      .channel(`conversation:${conversation.id}`, { config: { private: true } })
      .on('broadcast', { event: 'message.created' }, (message) => {
        events.push(message.payload.content.text)
        arrived()
      })
    await new Promise((resolve, reject) => {
      channel.subscribe((status, error) => (status === 'SUBSCRIBED' ? resolve() : reject(error)))
    })
    CountedWs.received = 0
    for (let n = 0; n < 20; n += 1) {
      const next = new Promise((resolve) => (arrived = resolve))
      await supabase.rpc('send_message', {
        conversation_id: conversation.id,
        content: { text: text + n },
      })
      await next
    }
    assert.deepEqual(
      events,
      Array.from({ length: 20 }, (_, n) => text + n),
    )
    if (transport === CountedWs) {
      assert.match(CountedWs.extensions, /^permessage-deflate; .*server_no_context_takeover/)
      assert.ok(CountedWs.received < 20 * text.length * 0.6, `${CountedWs.received} bytes`)
    }
  })
}
