// Lines with the tutorial's stamp, that of Go's package log: 2020/11/10 22:26:11.

/** `text` with the stamp of now before it. */
export function stamped(text) {
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  const date = [now.getFullYear(), two(now.getMonth() + 1), two(now.getDate())].join("/");
  const time = [now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join(":");
  return `${date} ${time} ${text}`;
}
