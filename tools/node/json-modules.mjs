// A hook of Node's module loader: GitHub's packages import JSON the way bundlers
// accept it, and Node wants an attribute beside such an import.
export async function resolve(specifier, context, next) {
  const found = await next(specifier, context);
  if (found.url.endsWith('.json')) found.importAttributes = { type: 'json' };
  return found;
}
