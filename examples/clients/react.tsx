/**
 * The wall of docs/clients.md in React: its hooks, and an application made of them. Bundle it with `linkd-client`, `react`
 * and `react-dom`, into a page of the service `live` that has an element with the id `root`.
 */
import { type FormEvent, StrictMode, useEffect, useState, useSyncExternalStore } from "react";
import { createRoot } from "react-dom/client";
import { type Client, createClient, type Member, type Room, type State } from "linkd-client";

// hooks

/** Connects while a component is mounted. */
export function useConnection(client: Client): State {
  useEffect(() => client.retain(), [client]);
  return useSyncExternalStore(client.onState, () => client.state, () => "idle");
}

/** Whether to tell people that there is no connection: once that has lasted for three seconds. */
export function useIsLost(client: Client): boolean {
  const [lost, setLost] = useState(false);
  useEffect(() => client.onState(({ state }) => setLost(state === "waiting" || state === "closed"), { settle: 3_000 }), [client]);
  return lost;
}

/** Who is in a room. */
export function useMembers({ presence }: Room): ReadonlyMap<string, Member> {
  return useSyncExternalStore(presence.onChange, () => presence.members, () => NOBODY);
}

const NOBODY: ReadonlyMap<string, Member> = new Map();

// the wall

interface Note {
  text: string;
}

const client = createClient("/ws/live");
const wall = client.room("wall", {
  load: async () => {
    const { events } = await wall.history();
    notes.set(events.map((event) => event.data as Note));
  },
});
const notes = createStore<readonly Note[]>([]);
wall.on("wall.note", (note: Note) => notes.set([...notes.get(), note]));

function Wall() {
  const state = useConnection(client);
  const lost = useIsLost(client);
  const members = useMembers(wall);
  const shown = useSyncExternalStore(notes.subscribe, notes.get);
  const [problem, setProblem] = useState("");

  async function write(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = event.currentTarget;
    try {
      await client.call("wall.write", { text: new FormData(form).get("text") });
      form.reset();
      setProblem("");
    } catch (error) {
      setProblem((error as Error).message);
    }
  }

  return (
    <main data-state={state}>
      {lost && <p role="status">Not connected. What you write waits.</p>}
      <form onSubmit={write}>
        <input name="text" autoComplete="off" /> <button>Write</button> <output>{problem}</output>
      </form>
      <p>
        <b>{members.size}</b> here
      </p>
      <ul>
        {shown.map((note, index) => (
          <li key={index}>{note.text}</li>
        )).reverse()}
      </ul>
    </main>
  );
}

/** A value that components can watch. */
function createStore<T>(value: T) {
  const watchers = new Set<() => void>();
  return {
    get: () => value,
    set(next: T) {
      value = next;
      for (const watcher of watchers) watcher();
    },
    subscribe(watcher: () => void) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

createRoot(document.getElementById("root")!).render(
  <StrictMode>
    <Wall />
  </StrictMode>,
);
