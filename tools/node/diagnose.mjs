// Runs GitHub's own parser and checks of workflows and action files, those behind
// its editors, over texts.
//
// Standard input is a JSON object: `files`, a list of {name, text}, and `actions`,
// the text of action.yml by "owner/name" ("./" for the repository's own), so that
// the inputs of each `uses:` are checked too. Standard output is a JSON list of
// {file, line, severity, message}, empty where all is well. A failure of the
// checks themselves ends with status 1: it must not look like a clean file.
import { register } from 'node:module';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';

register('./json-modules.mjs', import.meta.url);
const { validate, registerLogger } = await import('@actions/languageservice');
const { TextDocument } = await import('vscode-languageserver-textdocument');

// validate() catches its own failures and only logs them.
let failure;
registerLogger({ error: (m) => { failure ??= m; }, warn: () => {}, info: () => {}, log: () => {} });

const severities = { 1: 'error', 2: 'warning', 3: 'information', 4: 'hint' };
const { files, actions } = JSON.parse(readFileSync(0, 'utf8'));

const actionsMetadataProvider = {
  // An action that nobody described stays undefined, which is reported.
  fetchActionMetadata: async ({ owner, name }) => {
    const text = actions[`${owner}/${name}`];
    return text === undefined ? undefined : parse(text);
  },
};

const found = [];
for (const { name, text } of files) {
  const kind = name.endsWith('action.yml') ? 'action' : 'workflow';
  const document = TextDocument.create(`file:///${name}`, kind, 1, text);
  for (const d of await validate(document, { actionsMetadataProvider })) {
    found.push({ file: name, line: d.range.start.line + 1, severity: severities[d.severity ?? 1], message: d.message });
  }
  if (failure !== undefined) throw new Error(`${name}: ${failure}`);
}
process.stdout.write(JSON.stringify(found));
