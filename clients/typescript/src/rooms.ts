/** Rooms: how far their events have come, joining anew, reading the state, and who is there. */
import { coreOf } from "./client.js";
import { createEmitter } from "./emitter.js";
import type { LinkdError } from "./errors.js";
import { createPresence } from "./presence.js";
import type { Message, Welcome } from "./protocol.js";
import type { AnyApi, Api, CoreClient, HistoryPage, LinkEvent, Position, Room, RoomOptions } from "./types.js";

/** Events that are held while the state is read. Beyond it the state is read once more. */
const HELD = 1_000;

type Place = { epoch: string; offset: number; recovered?: boolean };

export function createRooms<A extends Api = AnyApi>(client: CoreClient<A>): (name: string, options?: RoomOptions) => Room<A> {
  const core = coreOf(client);
  const rooms = new Map<string, ReturnType<typeof create>>();
  core.extension = {
    welcome: (welcome) => each((room) => room.welcome(welcome)),
    gap: () => each((room) => room.gap()),
    lost: () => each((room) => room.presence.lost()),
    control: ({ type, data }) => {
      const room = rooms.get(data?.room);
      if (type === "linkd.room") room?.joined(data);
      else if (type === "linkd.gap") room ? room.place(data, data.reason) : core.gap({ reason: data?.reason, room: data?.room });
      else if (type === "linkd.presence") room?.presence.receive(data);
    },
    admit: (event) => rooms.get(event.room!)?.admit(event) ?? true,
    emit: (event) => rooms.get(event.room!)?.emit(event) ?? false,
  };
  return (name, options = {}) => {
    let room = rooms.get(name);
    if (!room) rooms.set(name, (room = create(name)));
    room.use(options);
    return room.room;
  };

  function each(what: (room: ReturnType<typeof create>) => void): void {
    for (const room of [...rooms.values()]) what(room);
  }

  function create(name: string) {
    const emitter = createEmitter(core.report);
    const presence = createPresence(name, core);
    let { join, load }: RoomOptions = {};
    let position: Position | undefined;
    let placed = false; // in this session the server has said where the room is
    let held: Message[] | undefined; // while the state is read
    let reads = 0;
    let entries = 0;
    let entering = false;
    const room: Room<A> = {
      name,
      get position() {
        return position;
      },
      presence: presence.presence,
      on: emitter.on,
      events: emitter.events,
      history: (page = {}) => core.request("linkd.history", { room: name, ...page }) as Promise<HistoryPage>,
      forget() {
        reads++;
        entries++;
        emitter.end();
        if (rooms.get(name)?.room === room) rooms.delete(name);
      },
    };
    return { room, presence, use, welcome, gap, joined, place, admit, emit };

    function use(options: RoomOptions): void {
      if (options.load) load = options.load;
      if (!options.join || join) return;
      join = options.join;
      if (client.state === "open") void enter();
    }

    async function enter(): Promise<void> {
      const mine = ++entries;
      entering = true;
      await persist(() => join?.(position), `join ${name}`, () => mine === entries);
      if (mine === entries) entering = false;
    }

    /** Does it once more where the server says when. */
    async function persist(what: () => unknown, source: string, wanted: () => boolean): Promise<void> {
      for (;;) {
        try {
          await what();
          return;
        } catch (error) {
          if (!wanted()) return;
          const pause = (error as LinkdError).retryAfterMs;
          if (pause === undefined) return core.report(error, source);
          await new Promise((resolve) => setTimeout(resolve, Math.max(pause, 500)));
          if (!wanted()) return;
        }
      }
    }

    function welcome({ resumed, rooms: places, presence: states }: Welcome): void {
      presence.welcome(resumed === true, states?.[name]);
      // Where the room is may have been said just before the break, and is not said again.
      if (!resumed || (!placed && (entering || places?.[name]))) void enter();
    }

    function gap(): void {
      placed = false;
    }

    /** The session is in the room, and events behind this place follow. */
    function joined({ epoch, offset, recovered }: Place): void {
      placed = true;
      if (recovered || (position?.epoch === epoch && position.offset === offset)) return;
      place({ epoch, offset }, position && "missed");
    }

    /** The room is at another place: what was known of it is worth nothing. */
    function place({ epoch, offset }: Position, reason: string | undefined): void {
      position = { epoch, offset };
      if (load) void read();
      else if (reason) core.gap({ reason, room: name });
    }

    async function read(): Promise<void> {
      const mine = ++reads;
      held = [];
      await persist(() => load?.(position), `load ${name}`, () => mine === reads);
      if (mine !== reads) return;
      const waiting = held;
      held = undefined;
      for (const message of waiting) core.dispatch(message);
    }

    function admit(message: Message): boolean {
      const { offset } = message;
      if (position && offset !== undefined) {
        if (offset <= position.offset) return false;
        position = { ...position, offset };
      }
      if (!held) return true;
      held.push(message);
      if (held.length > HELD) void read();
      return false;
    }

    function emit(event: LinkEvent): boolean {
      return emitter.emit(event.type, event.data, event);
    }
  }
}
