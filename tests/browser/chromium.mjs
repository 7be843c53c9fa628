// Chromium, started once for all tests: writes where it listens to stdout, ends when stdin does.

import { createRequire } from "node:module";

const [executablePath, playwright] = process.argv.slice(2);
const { chromium } = createRequire(playwright)("playwright-core");
const server = await chromium.launchServer({
  executablePath,
  host: "127.0.0.1",
  args: ["--no-sandbox", "--disable-dev-shm-usage"], // root has no sandbox
});
process.stdout.write(`${server.wsEndpoint()}\n`);
process.stdin.on("end", async () => {
  await server.close();
  process.exit();
});
process.stdin.resume();
