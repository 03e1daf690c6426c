// Three flows through the JavaScript SDK as its users write them; the address and key come from the environment.
// Prints one line of JSON: what each flow saw.
import Anthropic, { toFile } from "@anthropic-ai/sdk";

const client = new Anthropic({ maxRetries: 0, timeout: 60_000 });
const { agents, environments, sessions, files } = client.beta;
const toolset = { type: "agent_toolset_20260401" };
const ask = { ...toolset, default_config: { permission_policy: { type: "always_ask" } } };
const message = (text) => ({ type: "user.message", content: [{ type: "text", text }] });

async function begin(environment, tools) {
  const agent = await agents.create({ name: "Coder", model: "demo", tools });
  return sessions.create({ agent: agent.id, environment_id: environment.id });
}

/** Sends `text` with the stream open; every event up to the turn's end. Calls that wait are answered by `answer`. */
async function turn(session, text, answer) {
  const seen = [];
  const stream = await sessions.events.stream(session.id);
  await sessions.events.send(session.id, { events: [message(text)] });
  for await (const event of stream) {
    seen.push(event);
    if (event.type !== "session.status_idle") continue;
    if (event.stop_reason.type !== "requires_action") break;
    const events = event.stop_reason.event_ids.map((id) => ({ type: "user.tool_confirmation", tool_use_id: id, ...answer }));
    await sessions.events.send(session.id, { events });
  }
  return seen;
}

const results = (events) =>
  events.filter((event) => event.type === "agent.tool_result").map((event) => event.content.map((block) => block.text).join(""));

async function quickstart(environment) {
  const session = await begin(environment, [toolset]);
  const events = await turn(session, "Write notes.md with `hello`. Run `cat notes.md`.");
  const listed = [];
  for await (const event of sessions.events.list(session.id)) listed.push(event.id);
  return { types: events.map((event) => event.type), results: results(events), listed: listed.length > 0 };
}

async function approvals(environment) {
  const session = await begin(environment, [ask]);
  const allowed = await turn(session, "Run `echo allowed`.", { result: "allow" });
  const denied = await turn(session, "Run `echo denied`.", { result: "deny", deny_message: "Not today." });
  return { allowed: results(allowed), denied: results(denied) };
}

async function outputs(environment) {
  const upload = await files.upload({ file: await toFile(Buffer.from("tea at four"), "plan.txt", { type: "text/plain" }) });
  const session = await begin(environment, [toolset]);
  const mounted = await sessions.resources.add(session.id, { type: "file", file_id: upload.id, mount_path: "/plan.txt" });
  await turn(session, "Run `cp /mnt/session/uploads/plan.txt /mnt/session/outputs/copy.txt`.");
  const found = [];
  for (let tries = 0; tries < 100 && !found.length; tries += 1) {
    for await (const file of files.list({ scope_id: session.id })) if (file.downloadable) found.push(file);
    if (!found.length) await new Promise((resolve) => setTimeout(resolve, 200));
  }
  const bytes = await files.download(found[0].id);
  return { mounted: mounted.mount_path, name: found[0].filename, text: await bytes.text() };
}

async function failures() {
  const caught = await agents.retrieve("agent_none").catch((error) => error);
  return { kind: caught.constructor.name, status: caught.status };
}

const environment = await environments.create({ name: `js ${Date.now()}`, config: { type: "cloud" } });
console.log(
  JSON.stringify({
    quickstart: await quickstart(environment),
    approvals: await approvals(environment),
    outputs: await outputs(environment),
    failures: await failures(),
  }),
);
