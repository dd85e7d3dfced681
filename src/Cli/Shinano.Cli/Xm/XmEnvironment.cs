using Shinano.Control.Api.Xend;
using Shinano.Linux;

namespace Shinano.Cli.Xm;

/// <summary>What a verb works with: where to print, and how to reach xend. Tests put their own in.</summary>
internal sealed record XmEnvironment
{
    public required TextWriter Output { get; init; }

    public required TextWriter Error { get; init; }

    /// <summary>Raw standard output, for consoles.</summary>
    public required Func<Stream> OpenOutput { get; init; }

    /// <summary>Raw standard input, for consoles.</summary>
    public required Func<Stream> OpenInput { get; init; }

    public required ShinanoPaths Paths { get; init; }

    /// <summary>Connects to xend, starting one when there is none.</summary>
    public required Func<CancellationToken, Task<XendClient>> ConnectAsync { get; init; }

    /// <summary>Whether a person reads standard error, so that progress may move.</summary>
    public bool IsInteractive { get; init; }

    public static XmEnvironment Real()
    {
        ShinanoPaths paths = ShinanoPaths.Current;
        StreamWriter error = Writer(Console.OpenStandardError());
        return new XmEnvironment
        {
            Output = Writer(Console.OpenStandardOutput()),
            Error = error,
            OpenOutput = Console.OpenStandardOutput,

            // Console's own stream edits lines when it is a terminal; a domain's console wants the bytes.
            OpenInput = () => new FileStream(new Microsoft.Win32.SafeHandles.SafeFileHandle(0, ownsHandle: false), FileAccess.Read, bufferSize: 0),
            Paths = paths,
            ConnectAsync = cancellationToken => XendStarter.ConnectAsync(paths, message => error.WriteLine($"Warning: {message}"), cancellationToken),
            IsInteractive = !Console.IsErrorRedirected,
        };
    }

    /// <summary>
    /// Not Console.Out: on a terminal that one first switches the keypad to application mode, and a guest's editor would get other keys.
    /// </summary>
    private static StreamWriter Writer(Stream stream) => new(stream) { AutoFlush = true };

    public void WriteLine(FormattableString line) => Output.WriteLine(line.ToString(System.Globalization.CultureInfo.InvariantCulture));

    public void Complain(string message) => Error.WriteLine($"Error: {message}");
}
