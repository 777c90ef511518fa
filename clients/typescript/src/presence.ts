/** Who is in a room, from `linkd.presence` (docs/protocol.md): all members in pages, then differences, each with a number. */
import type { Core } from "./client.js";
import { createEmitter } from "./emitter.js";
import { ConnectionLost, type LinkdError } from "./errors.js";
import type { Member, Presence, PresenceChange } from "./types.js";

type Members = Record<string, Member<any>>;

interface State {
  seq: number;
  count: number;
  mode?: string;
  members?: Members;
  more?: boolean;
  join?: Members;
  update?: Members;
  leave?: string[];
  since?: number;
}

export function createPresence(room: string, core: Core) {
  const emitter = createEmitter(core.report);
  let members: ReadonlyMap<string, Member<any>> = new Map();
  let count = 0;
  let seq: number | undefined; // of the state that is known
  let stale = true;
  let asked = false;
  let pages: { seq: number; members: Map<string, Member<any>> } | undefined; // of a list that is coming
  let said: object | undefined;
  let repeated = true; // in this session
  const presence: Presence<any> = {
    get members() {
      if (seq === undefined) sync();
      return members;
    },
    get count() {
      if (seq === undefined) sync();
      return count;
    },
    get stale() {
      return stale;
    },
    onChange: (handler) => emitter.on("change", handler),
    set(what) {
      said = { ...said, ...what };
      repeated = true;
      return say(what);
    },
  };
  return { presence, receive, welcome, lost };

  function say(what: object): Promise<void> {
    return core.request("linkd.presence.set", { room, ...what });
  }

  function sync(): void {
    if (asked) return;
    asked = true;
    ask(core.request("linkd.presence.sync", seq === undefined ? { room } : { room, since: seq }));
  }

  function ask(answer: Promise<unknown>): void {
    answer.catch((error: LinkdError) => {
      // The session is not in the room, or not any more: everybody is shown when it joins.
      if (error.code !== 404 && !(error instanceof ConnectionLost)) core.report(error, `presence ${room}`);
    });
  }

  /** A connection is there. `current`: the number of the present state, where the session goes on. */
  function welcome(resumed: boolean, current: number | undefined): void {
    pages = undefined;
    asked = false;
    if (!resumed) {
      seq = undefined; // everybody is shown when the room is joined
      repeated = !said;
    } else if (current !== undefined && current === seq) {
      mark(false);
    } else if (current !== undefined) {
      sync();
    }
  }

  function lost(): void {
    mark(true);
  }

  function mark(isStale: boolean): void {
    if (stale === isStale) return;
    stale = isStale;
    emitter.emit("change", { joined: [], updated: [], left: [] });
  }

  function receive(state: State): void {
    if (typeof state?.seq !== "number") return;
    if (state.mode === "count") return apply(state, new Map());
    if (state.members) return page(state, state.members);
    // Pages come in one piece: a difference before the last of them means that some were dropped on the way.
    if (state.since !== undefined) asked = false;
    if (pages || seq !== (state.since ?? state.seq - 1)) {
      if (!pages && state.seq <= seq!) return; // it is known
      pages = undefined;
      return sync();
    }
    const next = new Map(members);
    for (const [key, member] of Object.entries({ ...state.join, ...state.update })) next.set(key, member);
    for (const key of state.leave ?? []) next.delete(key);
    apply(state, next);
  }

  function page({ seq, ...state }: State, some: Members): void {
    if (pages?.seq !== seq) pages = { seq, members: new Map() };
    for (const [key, member] of Object.entries(some)) pages.members.set(key, member);
    if (state.more) return;
    apply({ ...state, seq }, pages.members);
    pages = undefined;
  }

  function apply(state: State, next: ReadonlyMap<string, Member<any>>): void {
    const change: PresenceChange = { joined: [], updated: [], left: [] };
    for (const [key, member] of next) {
      const before = members.get(key);
      if (!before) change.joined.push(key);
      else if (JSON.stringify(before) !== JSON.stringify(member)) change.updated.push(key);
    }
    for (const key of members.keys()) if (!next.has(key)) change.left.push(key);
    const changed = stale || count !== state.count || change.joined.length + change.updated.length + change.left.length > 0;
    seq = state.seq;
    count = state.count;
    asked = stale = false;
    if (!repeated) {
      repeated = true;
      ask(say(said!));
    }
    if (!changed) return;
    members = next;
    emitter.emit("change", change);
  }
}
