using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using Shinano.Control.Api;
using Shinano.Control.Api.Domains;

namespace Shinano.Control.Daemon.Domains;

/// <summary>Starts and ends domain processes.</summary>
internal static class DomainProgram
{
    /// <summary>Begins our own lines in a domain process's log.</summary>
    private const string HeaderMark = "# ";

    /// <summary>A process has this long to listen: the runtime's start on a loaded machine, nothing more.</summary>
    private static readonly TimeSpan StartPatience = TimeSpan.FromSeconds(60);

    /// <summary>Starts the domain process and returns it; it goes on when xend ends.</summary>
    public static ProcessStamp Start(string specPath, string logPath)
    {
        Process process = DetachedProcess.StartManaged(Program, ["domain", "--spec", specPath], logPath);
        return ProcessStamp.Of(process.Id) ?? new ProcessStamp(process.Id, -1);
    }

    /// <summary>Begins the part of a domain process's log that is about a domain.</summary>
    public static void BeginLog(DomainSpec spec, string logPath)
    {
        string program = Program;
        try
        {
            // Not empty-handed: a full disk under the logs shows here, before there is anything to undo.
            File.AppendAllText(logPath, $"{HeaderMark}{DateTimeOffset.Now:yyyy-MM-dd HH:mm:ss} domain {spec.DomainId} '{spec.Name}': {program}\n");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{logPath}: the domain's log cannot be written: {e.Message}", e);
        }
    }

    private static string Program
    {
        get
        {
            try
            {
                return ProgramLocator.Machine;
            }
            catch (FileNotFoundException e)
            {
                throw new DomainFailureException(DomainFailureCode.HostResource, e.Message, e);
            }
        }
    }

    /// <summary>Connects as soon as the process listens. Throws what it left behind when it ends before.</summary>
    public static async Task<DomainConnection> ConnectAsync(
        ProcessStamp process, DomainSpec spec, string logPath, CancellationToken cancellationToken)
    {
        long deadline = Environment.TickCount64 + (long)StartPatience.TotalMilliseconds;
        while (true)
        {
            bool alive = process.IsAlive();
            try
            {
                return await DomainConnection.OpenAsync(spec.ControlSocketPath, cancellationToken);
            }
            catch (SocketException)
            {
                if (!alive)
                {
                    throw new DomainFailureException(DomainSpecFile.ReadFailure(spec.FailurePath) ?? new DomainFailure(
                        DomainFailureCode.DomainProcessLost,
                        $"the domain process ended before it listened: {LastLine(logPath)} (see {logPath})"));
                }

                if (Environment.TickCount64 > deadline)
                {
                    throw new DomainFailureException(
                        DomainFailureCode.TimedOut, $"the domain process does not listen on {spec.ControlSocketPath} (see {logPath})");
                }
            }

            await Task.Delay(20, cancellationToken);
        }
    }

    /// <summary>Ends a domain process: asks, and kills when that is not enough. Returns when it is gone.</summary>
    public static async Task EndAsync(ProcessStamp process, DomainConnection? connection, CancellationToken cancellationToken)
    {
        if (connection is not null && process.IsAlive())
        {
            try
            {
                await connection.CallAsync((domain, token) => domain.DestroyAsync(token), TimeSpan.FromSeconds(5), cancellationToken);
                if (await DomainEntry.WaitForEndAsync(process, TimeSpan.FromSeconds(10), cancellationToken))
                {
                    return;
                }
            }
            catch (DomainFailureException)
            {
                // Stopped, hung or dying: SIGKILL needs no cooperation.
            }
        }

        Kill(process);
        await DomainEntry.WaitForEndAsync(process, TimeSpan.FromSeconds(30), cancellationToken);
    }

    private static void Kill(ProcessStamp process)
    {
        if (!process.IsAlive())
        {
            return;
        }

        try
        {
            using Process target = Process.GetProcessById(process.Id);
            target.Kill();
        }
        catch (Exception e) when (e is ArgumentException or InvalidOperationException or System.ComponentModel.Win32Exception)
        {
            // It was faster.
        }
    }

    /// <summary>The last line a process left in its log, for a message.</summary>
    private static string LastLine(string logPath)
    {
        try
        {
            using FileStream log = new(logPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
            log.Seek(-Math.Min(log.Length, 4096), SeekOrigin.End);
            byte[] tail = new byte[4096];
            int length = log.ReadAtLeast(tail, tail.Length, throwOnEndOfStream: false);
            return Encoding.UTF8.GetString(tail, 0, length).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                .LastOrDefault(line => !line.StartsWith(HeaderMark, StringComparison.Ordinal))
                ?? "it said nothing";
        }
        catch (IOException e)
        {
            return e.Message;
        }
    }
}
