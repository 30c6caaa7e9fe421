// Drives the official TypeScript client: node ts_client.mjs PACKAGES URL MODE HEADERS-AS-JSON; prints one JSON report.
import { createRequire } from 'node:module';

const [packages, url, mode, headers] = process.argv.slice(2);
const require = createRequire(packages + '/');
const { Client, StreamableHTTPClientTransport } = require('@modelcontextprotocol/client');

const report = { progress: [], elicited: [] };
const client = new Client(
  { name: 'ts-client', version: '1.0.0' },
  { capabilities: { elicitation: {} }, versionNegotiation: { mode: mode === 'legacy' || mode === 'auto' ? mode : { pin: mode } } }
);
client.setRequestHandler('elicitation/create', async request => {
  report.elicited.push(request.params.message);
  return { action: 'accept', content: { username: 'ada', email: 'ada@example.com' } };
});
const transport = new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: JSON.parse(headers) } });
await client.connect(transport);
report.version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion;

report.tools = (await client.listTools()).tools.map(tool => tool.name);
report.sum = (await client.callTool({ name: 'add', arguments: { a: 2, b: 3 } })).content[0].text;
report.echo = (await client.callTool({ name: 'echo', arguments: { message: 'żółw 🐢' } })).structuredContent;

const begun = performance.now();
report.slow = (
  await client.callTool(
    { name: 'slow', arguments: { seconds: 1 } },
    { onprogress: ({ progress }) => report.progress.push({ progress, at_ms: performance.now() - begun }) }
  )
).content[0].text;
report.elicitation = (await client.callTool({ name: 'test_elicitation', arguments: { message: 'Who are you?' } })).content[0].text;

try {
  await client.callTool({ name: 'nothing_like_it', arguments: {} });
} catch (error) {
  report.unknown = { code: error.code, message: error.message };
}

const leaving = new AbortController();
setTimeout(() => leaving.abort(), 500);
const aborted = performance.now();
try {
  await client.callTool({ name: 'slow', arguments: { seconds: 60 } }, { signal: leaving.signal });
} catch (error) {
  report.cancelled_after_ms = performance.now() - aborted;
}
report.after = (await client.callTool({ name: 'add', arguments: { a: 1, b: 1 } })).content[0].text;
// A close aborts what is still being posted, the cancellation too.
await new Promise(resolve => setTimeout(resolve, 500));
await client.close();
console.log(JSON.stringify(report));
