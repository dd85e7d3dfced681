using System.Diagnostics;
using System.Globalization;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;

namespace Shinano.Machine.Vnc;

/// <summary>
/// The process that holds the TCP port of a domain's display and hands each connection's bytes to the domain process's unix socket (docs/adr/0006). It ends with
/// the domain process, whatever ends that: its standard input is a pipe from it.
/// </summary>
internal sealed class VncGate : IDisposable
{
    /// <summary>What the gate says when it listens, before the port.</summary>
    public const string Ready = "listening ";

    /// <summary>Displays that are tried when a free one is wanted.</summary>
    private const int MostDisplays = 1000;

    private readonly Process _process;

    private VncGate(Process process, int port)
    {
        _process = process;
        Port = port;
    }

    /// <summary>The TCP port.</summary>
    public int Port { get; }

    /// <summary>Starts the gate and waits until it listens.</summary>
    /// <exception cref="IOException">It cannot listen.</exception>
    public static async Task<VncGate> StartAsync(VncSpec spec)
    {
        ProcessStartInfo start = new(ProgramLocator.DotnetHost)
        {
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = "/",
        };
        int last = spec.FindUnused ? spec.Display + MostDisplays : spec.Display;
        foreach (string argument in (string[])
        [
            typeof(VncGate).Assembly.Location, "vnc-gate", spec.Listen, Text(spec.Display), Text(last), spec.SocketPath,
        ])
        {
            start.ArgumentList.Add(argument);
        }

        // A process that copies bytes: small, and nothing that listens for debuggers.
        start.Environment["DOTNET_GCHeapHardLimit"] = "0x4000000";
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        start.Environment["DOTNET_TieredPGO"] = "0";
        Process process = Process.Start(start) ?? throw new IOException("the VNC gate was not started");
        string? line = await process.StandardOutput.ReadLineAsync().ConfigureAwait(false);
        if (line?.StartsWith(Ready, StringComparison.Ordinal) == true
            && int.TryParse(line.AsSpan(Ready.Length), NumberStyles.None, CultureInfo.InvariantCulture, out int port))
        {
            // Nothing more comes; the pipe is read so that the gate's last words do not block it.
            process.ErrorDataReceived += static (_, _) => { };
            process.BeginErrorReadLine();
            return new VncGate(process, port);
        }

        string problem = (await process.StandardError.ReadToEndAsync().ConfigureAwait(false)).Trim();
        process.Dispose();
        throw new IOException(problem.Length > 0 ? problem : "the VNC gate ended without a word");
    }

    /// <summary>Ends the gate.</summary>
    public void Dispose()
    {
        _process.StandardInput.Dispose();
        _process.Dispose();
    }

    private static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
