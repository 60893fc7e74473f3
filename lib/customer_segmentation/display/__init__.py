"""What the pages, the terminal and the log lines share: formatted figures, colours, chart styles and page templates."""
