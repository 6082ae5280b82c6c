// A browser's own websocket, which offers to deflate: what it is answered, and what arrives.

import { scenario } from "./scenario.mjs";
import { closeAll, launch } from "./page_visitor.mjs";

await scenario(async () => {
  const browser = await launch();
  const page = await browser.newPage();
  const url = `${process.argv[2].replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
  const seen = await page.evaluate(async (url) => {
    const text = "A line like the others before it. é\n".repeat(3_000);
    const socket = new WebSocket(url);
    socket.binaryType = "arraybuffer";
    const waiting = [];
    const heard = [];
    socket.onmessage = ({ data }) => {
      if (data === "2") socket.send("3");
      else if (waiting.length > 0) waiting.shift()(data);
      else heard.push(data);
    };
    const get = () =>
      heard.length > 0 ? heard.shift() : new Promise((resolve) => waiting.push(resolve));
    const opened = (await get())[0];
    socket.send("40");
    await get(); // its namespace
    await get(); // "auth"
    const sent = `["message",${JSON.stringify(text)}]`;
    socket.send(`42${sent}`);
    const back = (await get()) === `42${sent.replace("message", "message-back")}`;
    socket.send('451-["message",{"_placeholder":true,"num":0}]');
    socket.send(new Uint8Array(100_000).fill(7));
    const event = await get();
    const bytes = new Uint8Array(await get());
    const closed = new Promise((resolve) => (socket.onclose = ({ code }) => resolve(code)));
    socket.send("4".repeat(20_000_000));
    return {
      extensions: socket.extensions,
      opened,
      back,
      event,
      bytes: [bytes.length, bytes.every((byte) => byte === 7)],
      closed: await closed,
    };
  }, url);
  await closeAll();
  return seen;
});
