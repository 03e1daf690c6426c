// Starts the small behaviours of a page. Every page works without them.
import { startControls } from "./controls.js";
import { startKeys } from "./keys.js";
import { startRequests } from "./requests.js";
import { startTimes } from "./times.js";

startControls();
startTimes();
startKeys();
startRequests();
