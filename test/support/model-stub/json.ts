/** A JSON object of unknown shape: what a client sent is looked at, never trusted. */
export type Json = Record<string, unknown>;

/** The value as an object; an empty one where it is something else. */
export function record(value: unknown): Json {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

/** The value as a list of objects; an empty one where it is something else. */
export function records(value: unknown): Json[] {
  return Array.isArray(value) ? value.map(record) : [];
}

/** The value as text; empty where it is something else. */
export function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}
