// The behaviours of a session's pages.
import { startLive } from "./live.js";

startLive(document.getElementById("live"));
