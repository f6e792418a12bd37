declare module "*/Dockerfile" {
  const text: string;
  // oxlint-disable-next-line import/no-default-export -- the form that text imports have
  export default text;
}

declare module "*/gateway.text" {
  const text: string;
  // oxlint-disable-next-line import/no-default-export -- the form that text imports have
  export default text;
}

declare module "*.c" {
  const text: string;
  // oxlint-disable-next-line import/no-default-export -- the form that text imports have
  export default text;
}

declare module "*.sh" {
  const text: string;
  // oxlint-disable-next-line import/no-default-export -- the form that text imports have
  export default text;
}
