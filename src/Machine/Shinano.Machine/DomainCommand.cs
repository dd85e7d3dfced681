using System.ComponentModel;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Shinano.Control.Api.Domains;
using Shinano.Linux;
using Shinano.Machine.Control;
using Shinano.Machine.Vnc;

namespace Shinano.Machine;

/// <summary><c>domain --spec FILE</c>: the domain process that xend starts.</summary>
internal static class DomainCommand
{
    private const PosixSignal FileSizeExceeded = (PosixSignal)25; // SIGXFSZ, asm/signal.h

    /// <summary>Serves the control channel until the domain is destroyed.</summary>
    /// <param name="listening">Called once, when the control socket is there.</param>
    /// <returns>The process's exit code.</returns>
    public static async Task<int> RunAsync(string specPath, Action? listening = null)
    {
        DomainSpec spec;
        try
        {
            spec = DomainSpecFile.Read(specPath);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or InvalidDataException)
        {
            await Console.Error.WriteLineAsync($"shinano: cannot read the domain specification: {e.Message}").ConfigureAwait(false);
            return ExitCodes.Failure;
        }

        try
        {
            return await ServeAsync(spec, listening).ConfigureAwait(false);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or SocketException or Win32Exception)
        {
            DomainFailure failure = new(DomainFailureCode.HostResource, $"{spec.ControlSocketPath}: {e.Message}");
            await Console.Error.WriteLineAsync($"shinano: {failure.Message}").ConfigureAwait(false);
            DomainSpecFile.WriteFailure(spec.FailurePath, failure);
            return ExitCodes.Failure;
        }
    }

    private static async Task<int> ServeAsync(DomainSpec spec, Action? listening)
    {
        DomainControl? control = null;
        // Disks block threads of the pool: what answers xend and the guest must not wait for the pool to grow.
        ThreadPool.GetMinThreads(out int workers, out int ports);
        ThreadPool.SetMinThreads(Math.Max(workers, 16), ports);

        // Before anything of the guest is read, and before this process may no more run programs or open network sockets: the one that holds the TCP port.
        using VncGate? gate = spec.Vnc is { } vnc ? await VncGate.StartAsync(vnc).ConfigureAwait(false) : null;
        using ControlServer server = new(spec.ControlSocketPath, events => control = new DomainControl(spec, gate?.Port, events));
        server.Deserted += () => _ = control!.AbandonAsync();
        using PosixSignalRegistration terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, context =>
        {
            context.Cancel = true;
            _ = control!.DestroyAsync(CancellationToken.None);
        });

        // setrlimit(2): a file that may not grow further is an error of its write, and not the end of the domain.
        using PosixSignalRegistration fileLimit = PosixSignalRegistration.Create(FileSizeExceeded, context => context.Cancel = true);

        // Nothing of the guest has been looked at yet. Sockets and files are opened under these rules from here on.
        ProcessConfinement.ForbidNewPrivileges();
        PageMap.Open();
        ProcessConfinement.ForbidCoreFiles();
        SystemCallFilter.Install();
        listening?.Invoke();
        await control!.Destroyed.ConfigureAwait(false);

        // The reply to the destroy is on its way: the clients may close first, for a moment, before the process ends under them.
        server.StopListening();
        await server.DrainAsync(TimeSpan.FromSeconds(1)).ConfigureAwait(false);
        return ExitCodes.Success;
    }
}
