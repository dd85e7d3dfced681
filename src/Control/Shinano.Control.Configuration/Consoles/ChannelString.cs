namespace Shinano.Control.Configuration.Consoles;

/// <summary>Reads an entry of <c>channel</c>: <c>key=value</c> pairs with commas between. Source: xl.cfg(5), <c>channel</c>.</summary>
public static class ChannelString
{
    /// <summary>Reads it.</summary>
    /// <param name="text">One string of the list.</param>
    /// <param name="number">The device's number.</param>
    /// <returns>The channel, or a problem and where in the text it is; and keys that do nothing here.</returns>
    public static (ChannelConfiguration? Channel, string? Problem, int At, IReadOnlyList<string> Ignored) Read(string text, int number)
    {
        ArgumentNullException.ThrowIfNull(text);
        List<string> ignored = [];
        string? name = null;
        string? path = null;
        ChannelConnection? connection = null;
        int at = 0;
        foreach (string part in text.Split(','))
        {
            int start = at + (part.Length - part.TrimStart().Length);
            at += part.Length + 1;
            string word = part.Trim();
            if (word.Length == 0)
            {
                continue;
            }

            // xl.cfg(5): neither key nor value has '=' or '"' in it.
            string[] pair = word.Split('=', StringSplitOptions.TrimEntries);
            if (pair.Length != 2 || pair.Any(half => half.Length == 0 || half.Any(c => c == '"' || char.IsControl(c))))
            {
                return (null, $"'{Shorten(word)}' is no key=value", start, ignored);
            }

            switch ((pair[0], pair[1]))
            {
                case ("name", string value):
                    name = value;
                    break;
                case ("path", string value):
                    path = value;
                    break;
                case ("connection", "pty" or "PTY"):
                    connection = ChannelConnection.Pty;
                    break;
                case ("connection", "socket" or "SOCKET"):
                    connection = ChannelConnection.Socket;
                    break;
                case ("connection", string value):
                    return (null, $"connection={Shorten(value)} is not one of pty, socket", start, ignored);
                case ("backend", _):
                    ignored.Add("backend");
                    break;
                default:
                    return (null, $"'{Shorten(pair[0])}' is no key of channel: name, connection, path", start, ignored);
            }
        }

        if (name is null || connection is null)
        {
            return (null, $"{(name is null ? "name=" : "connection=")} is missing: name=console,connection=pty", 0, ignored);
        }

        if (connection == ChannelConnection.Socket != path is not null)
        {
            return (null, path is null ? "connection=socket needs path=" : "path= is for connection=socket", 0, ignored);
        }

        return (new ChannelConfiguration { Number = number, Name = name, Connection = connection.Value, Path = path }, null, 0, ignored);
    }

    private static string Shorten(string text) => text.Length > 40 ? text[..37] + "..." : text;
}
