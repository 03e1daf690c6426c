// Starts the small behaviours of a page. Every page works without them.
import { startCopy, startShortcuts, startTheme } from "./controls.js";
import { startLive } from "./live.js";
import { startTimes } from "./times.js";

startTheme();
startTimes();
startCopy();
startShortcuts();
startLive(document.getElementById("live"));
