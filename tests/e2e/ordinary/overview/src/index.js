const ms = require("ms");
require("http").createServer((_, answer) => answer.end(`a week is ${ms("1w")} ms\n`)).listen(80);
