/* One page for whoever asks. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "page.h"

int main(void) {
    static const char body[] =
        "<!doctype html><title>" TITLE "</title><h1>" TITLE "</h1><p>" TEXT "</p>\n";
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(8000),
        .sin_addr.s_addr = htonl(INADDR_ANY),
    };
    int one = 1;
    int server = socket(AF_INET, SOCK_STREAM, 0);

    signal(SIGPIPE, SIG_IGN);
    setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(server, (struct sockaddr *)&address, sizeof address) != 0 || listen(server, 16) != 0) {
        perror("server");
        return 1;
    }
    printf("serving \"%s\"\n", TITLE);
    fflush(stdout);
    for (;;) {
        char request[4096], head[128];
        int client = accept(server, NULL, NULL);

        if (client < 0)
            continue;
        if (read(client, request, sizeof request) > 0) {
            int length = snprintf(head, sizeof head,
                                  "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n"
                                  "Content-Length: %zu\r\nConnection: close\r\n\r\n",
                                  strlen(body));
            if (write(client, head, (size_t)length) < 0 || write(client, body, strlen(body)) < 0)
                perror("write");
        }
        close(client);
    }
}
