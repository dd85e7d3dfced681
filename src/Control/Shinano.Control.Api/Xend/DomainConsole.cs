using System.Globalization;
using System.Net.Sockets;
using System.Text;

namespace Shinano.Control.Api.Xend;

/// <summary>A domain's console, for a program that types at it. Not thread-safe.</summary>
public sealed class DomainConsole : IDisposable
{
    private readonly Socket _socket;
    private readonly Decoder _decoder = Encoding.UTF8.GetDecoder();
    private readonly StringBuilder _said = new();
    private int _seen;
    private int _commands;

    private DomainConsole(Socket socket) => _socket = socket;

    /// <summary>Connects.</summary>
    /// <param name="socketPath">See <see cref="CreatedDomain.ConsoleSocket"/>.</param>
    /// <exception cref="IOException">Nobody is there.</exception>
    public static async Task<DomainConsole> OpenAsync(string socketPath, CancellationToken cancellationToken = default)
    {
        Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
            return new DomainConsole(socket);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new IOException($"console {socketPath}: {e.Message}", e);
        }
    }

    /// <summary>Types.</summary>
    public async Task TypeAsync(string text, CancellationToken cancellationToken = default)
    {
        ReadOnlyMemory<byte> rest = Encoding.UTF8.GetBytes(text);
        while (!rest.IsEmpty)
        {
            rest = rest[await _socket.SendAsync(rest, cancellationToken)..];
        }
    }

    /// <summary>Waits until a text is said, behind what was waited for before.</summary>
    /// <returns>What was said before it.</returns>
    /// <exception cref="IOException">The domain ended before.</exception>
    public async Task<string> ReadUntilAsync(string text, CancellationToken cancellationToken = default)
    {
        ArgumentException.ThrowIfNullOrEmpty(text);
        byte[] bytes = new byte[4096];
        char[] letters = new char[4096];
        while (true)
        {
            string rest = _said.ToString(_seen, _said.Length - _seen);
            int at = rest.IndexOf(text, StringComparison.Ordinal);
            if (at >= 0)
            {
                _seen += at + text.Length;
                return rest[..at];
            }

            int count = await _socket.ReceiveAsync(bytes, cancellationToken);
            if (count == 0)
            {
                throw new IOException($"the console ended before '{text}': {rest}");
            }

            _said.Append(letters, 0, _decoder.GetChars(bytes, 0, count, letters, 0));
        }
    }

    /// <summary>Runs a command of the shell that is on the console.</summary>
    /// <returns>What it printed, and its exit code.</returns>
    /// <exception cref="IOException">The domain ended before the command.</exception>
    public async Task<(string Output, int ExitCode)> RunAsync(string command, CancellationToken cancellationToken = default)
    {
        // The shell's echo of what is typed has the quotes in it, its output has not.
        string mark = string.Create(CultureInfo.InvariantCulture, $"{Random.Shared.Next():x8}-{++_commands}");
        await TypeAsync($"echo '<''{mark}'; {command}; echo '>''{mark}':$?\n", cancellationToken);
        await ReadUntilAsync($"<{mark}\r\n", cancellationToken);
        string output = await ReadUntilAsync($">{mark}:", cancellationToken);
        string code = await ReadUntilAsync("\r\n", cancellationToken);
        return (output.Replace("\r\n", "\n", StringComparison.Ordinal), int.Parse(code, CultureInfo.InvariantCulture));
    }

    /// <inheritdoc/>
    public void Dispose() => _socket.Dispose();
}
