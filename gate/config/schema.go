package config

import _ "embed"

// Schema is the JSON Schema of perfgate.yml, for editors. Parse is the
// authority: it also checks what a schema cannot, such as regular expressions.
//
//go:embed schema.json
var Schema []byte
