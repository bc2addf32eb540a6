// A Socket.IO server whose sockets are all in one room. POST /emit?times=<number> sends the body,
// which is JSON, to the room that many times. Prints its address first.

import { createServer } from "node:http";
import { Server } from "socket.io";

const ROOM = "bench";
const EVENT = "bench.event";

const http = createServer((request, response) => {
  const chunks = [];
  request.on("data", (chunk) => chunks.push(chunk));
  request.on("end", () => {
    const payload = JSON.parse(Buffer.concat(chunks).toString());
    const times = Number(new URL(request.url, "http://bench").searchParams.get("times"));
    for (let number = 0; number < times; number += 1) io.to(ROOM).emit(EVENT, payload);
    response.end("{}");
  });
});

const io = new Server(http, {
  transports: ["websocket"],
  perMessageDeflate: false,
  serveClient: false,
});

io.on("connection", (socket) => socket.join(ROOM));

// The queue of connections that wait to be taken is as long as Roost's.
http.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () =>
  console.log(`http://127.0.0.1:${http.address().port}`),
);
