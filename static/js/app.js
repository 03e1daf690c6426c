// Starts the small behaviours of a page. Every page works without them.
import { startControls } from "./controls.js";
import { startEnds } from "./ended.js";
import { startKeys } from "./keys.js";
import { startTimes } from "./times.js";

startControls();
startEnds();
startTimes();
startKeys();
