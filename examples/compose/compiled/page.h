/* What the server answers. */
#define TITLE "Compiled"
#define TEXT "Change this line, save it, and load the page again."
