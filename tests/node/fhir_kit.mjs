// Does fhir-kit-client find its way? Reads one JSON object from standard input: the exchange's FHIR base, PEM files and
// tokens of a practice and a GP post, a Consent, a List, a search, a message. Writes what it got as one JSON object.
import { readFileSync } from 'node:fs';
import { Client } from 'fhir-kit-client';
import { Agent, setGlobalDispatcher } from 'undici';

const told = JSON.parse(readFileSync(0, 'utf8'));

function speakingAs(who) {
  const pem = (name) => readFileSync(`${who.folder}/${name}.pem`.replace('client.key.pem', 'client.key'));
  setGlobalDispatcher(new Agent({ connect: { cert: pem('client'), key: pem('client.key'), ca: pem('ca') } }));
  const client = new Client({ baseUrl: told.base });
  if (who.token) client.bearerToken = who.token;
  return client;
}

const practice = speakingAs(told.practice);
const capabilities = await practice.capabilityStatement();
const consent = await practice.create({ resourceType: 'Consent', body: told.consent });
const list = await practice.create({ resourceType: 'List', body: told.list });
const held = await practice.read({ resourceType: 'List', id: list.id });

const post = speakingAs(told.post);
const found = await post.resourceSearch({ resourceType: 'Bundle', searchParams: told.search, options: { postSearch: true } });
post.bearerToken = told.post.second;
const task = await post.operation({ name: '$process-message', input: told.message });

console.log(JSON.stringify({
  fhirVersion: capabilities.fhirVersion,
  consent: consent.resourceType,
  held: held.code.coding[0].code,
  total: found.total,
  document: found.entry[0].resource.type,
  task: task.id,
}));
