const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "short" });
const weekday = new Intl.DateTimeFormat(undefined, { weekday: "long" });
const date = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const dateWithYear = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long", year: "numeric" });
const relative = new Intl.RelativeTimeFormat(undefined, { numeric: "auto" });

const DAY = 86_400_000;

export const timeOf = (value) => clock.format(new Date(value));
export const fullTimeOf = (value) => full.format(new Date(value));

export function dayKey(value) {
  const day = new Date(value);
  return `${day.getFullYear()}-${day.getMonth()}-${day.getDate()}`;
}

export function dayName(value) {
  const day = new Date(value);
  const now = new Date();
  // Calendar days counted at noon, so that a daylight saving change does not make a day 23 hours short.
  const days = Math.round((noon(now) - noon(day)) / DAY);
  if (days === 0 || days === 1) return capitalised(relative.format(-days, "day"));
  if (days > 1 && days < 7) return capitalised(weekday.format(day));
  return (day.getFullYear() === now.getFullYear() ? date : dateWithYear).format(day);
}

function noon(value) {
  return new Date(value.getFullYear(), value.getMonth(), value.getDate(), 12).getTime();
}

function capitalised(text) {
  const [first = "", ...rest] = text;
  return first.toLocaleUpperCase() + rest.join("");
}
