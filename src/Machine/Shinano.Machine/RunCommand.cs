using System.Globalization;
using Shinano.Control.Api.Domains;
using Shinano.Devices.Paravirtual.Console;
using Shinano.Machine.Control;
using ShutdownReason = Shinano.Hypervisor.ShutdownReason;

namespace Shinano.Machine;

/// <summary><c>run</c>: one domain in this process with its console on standard input and output, without xend or xenstore. For development and tests.</summary>
internal static class RunCommand
{
    private const int ConsoleBytes = 1 << 20;

    /// <summary>Runs the guest until it stops.</summary>
    /// <returns>The process's exit code; see <see cref="ExitCodes"/>.</returns>
    public static async Task<int> RunAsync(string[] arguments)
    {
        if (!TryParse(arguments, out MachineSettings? settings, out bool verbose, out string problem))
        {
            await Console.Error.WriteLineAsync($"run: {problem}").ConfigureAwait(false);
            return ExitCodes.Usage;
        }

        try
        {
            await using PvMachine machine = await PvMachine.BuildAsync(settings!, (stage, detail) =>
            {
                if (verbose)
                {
                    Console.Error.WriteLine($"{stage}: {detail}");
                }
            }).ConfigureAwait(false);
            if (verbose)
            {
                machine.Domain.Log.Written += line => Console.Error.WriteLine($"(XEN) {line}");
            }

            TaskCompletionSource<ShutdownReason> ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
            machine.Domain.ShutDown += reason => ended.TrySetResult(reason);
            ConsoleCancelEventHandler interrupt = (_, e) =>
            {
                e.Cancel = true;
                ended.TrySetResult(ShutdownReason.PowerOff);
            };
            Console.CancelKeyPress += interrupt;
            ConsoleBacklog backlog = new(ConsoleBytes);
            machine.OpenConsole(backlog, log: null);
            Task output = CopyOutputAsync(backlog);
            _ = CopyInputAsync(machine.Console!);
            machine.Runner.Unpause();
            ShutdownReason reason = await ended.Task.ConfigureAwait(false);
            machine.Runner.Stop();
            await machine.Console!.DisposeAsync().ConfigureAwait(false);
            await output.ConfigureAwait(false);
            if (!verbose && reason == ShutdownReason.Crash)
            {
                foreach (string line in machine.Domain.Log.Snapshot())
                {
                    await Console.Error.WriteLineAsync($"(XEN) {line}").ConfigureAwait(false);
                }
            }

            if (verbose)
            {
                await Console.Error.WriteLineAsync($"memory: {machine.AuditMemory()}").ConfigureAwait(false);
                foreach (PerfCounter counter in PerfCounters.Of(machine))
                {
                    await Console.Error.WriteLineAsync($"{counter.Name} {counter.Value}").ConfigureAwait(false);
                }

                await WriteAsync(PerformanceReader.Of(machine)).ConfigureAwait(false);
            }

            return ExitCodes.Of(reason);
        }
        catch (DomainFailureException e)
        {
            await Console.Error.WriteLineAsync($"run: {e.Message}").ConfigureAwait(false);
            return ExitCodes.Failure;
        }
    }

    /// <summary>The counters that <c>xm perf-stat</c> shows. Exits and exceptions were there already, of all vCPUs together.</summary>
    private static async Task WriteAsync(DomainPerformance performance)
    {
        foreach (PerformanceCounter counter in performance.Engine)
        {
            await Console.Error.WriteLineAsync($"engine.{counter.Name} {counter.Value}").ConfigureAwait(false);
        }

        foreach (VcpuPerformance vcpu in performance.Vcpus)
        {
            foreach (PerformanceCounter counter in vcpu.Counters.Where(counter => counter.Name != "cpu-time-ns"))
            {
                await Console.Error.WriteLineAsync($"vcpu{vcpu.Id}.{counter.Name} {counter.Value}").ConfigureAwait(false);
            }
        }
    }

    private static async Task CopyOutputAsync(ConsoleBacklog backlog)
    {
        using Stream output = Console.OpenStandardOutput();
        byte[] buffer = new byte[4096];
        long place = 0;
        while (await backlog.WaitAsync(place, CancellationToken.None).ConfigureAwait(false))
        {
            int count = backlog.Read(ref place, buffer);
            await output.WriteAsync(buffer.AsMemory(0, count)).ConfigureAwait(false);
            await output.FlushAsync().ConfigureAwait(false);
        }
    }

    private static async Task CopyInputAsync(ConsoleBackEnd console)
    {
        using Stream input = Console.OpenStandardInput();
        byte[] buffer = new byte[256];
        int count;
        while ((count = await input.ReadAsync(buffer).ConfigureAwait(false)) > 0)
        {
            await console.WriteInputAsync(buffer.AsMemory(0, count), CancellationToken.None).ConfigureAwait(false);
        }
    }

    private static bool TryParse(string[] arguments, out MachineSettings? settings, out bool verbose, out string problem)
    {
        settings = null;
        verbose = false;
        problem = "";
        string? kernel = null;
        string? ramdisk = null;
        string? engine = null;
        long? codeCache = null;
        string commandLine = "console=hvc0 earlyprintk=xen";
        long memory = 256L << 20;
        int vcpus = 1;
        for (int i = 0; i < arguments.Length; i++)
        {
            if (arguments[i] is "--verbose" or "--stats")
            {
                verbose = true;
                continue;
            }

            if (i + 1 == arguments.Length)
            {
                problem = $"{arguments[i]} wants a value";
                return false;
            }

            string value = arguments[++i];
            bool good = true;
            switch (arguments[i - 1])
            {
                case "--kernel":
                    kernel = value;
                    break;
                case "--ramdisk":
                    ramdisk = value;
                    break;
                case "--cmdline":
                    commandLine = value;
                    break;
                case "--engine":
                    engine = value;
                    break;
                case "--code-cache":
                    good = TryParseSize(value, out long cache) && cache is >= 16 << 20 and <= 1 << 30 && cache % (1 << 20) == 0;
                    codeCache = cache;
                    break;
                case "--memory":
                    good = TryParseSize(value, out memory);
                    break;
                case "--vcpus":
                    good = int.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out vcpus) && vcpus is >= 1 and <= 32;
                    break;
                default:
                    problem = $"unknown option {arguments[i - 1]}";
                    return false;
            }

            if (!good)
            {
                problem = $"{arguments[i - 1]} {value}: not a {KindOf(arguments[i - 1])}";
                return false;
            }
        }

        if (kernel is null)
        {
            problem = "--kernel is missing";
            return false;
        }

        settings = new MachineSettings
        {
            DomainId = 1,
            Uuid = Guid.NewGuid(),
            Name = "run",
            MemoryBytes = memory,
            MaxMemoryBytes = memory,
            MaxVcpus = vcpus,
            KernelPath = kernel,
            RamdiskPath = ramdisk,
            CommandLine = commandLine,
            CpuEngine = engine,
            CodeCacheBytes = codeCache,
        };
        return true;
    }

    private static string KindOf(string option) => option switch
    {
        "--vcpus" => "number from 1 to 32",
        "--code-cache" => "size from 16M to 1G in whole MiB",
        _ => "size such as 256M",
    };

    private static bool TryParseSize(string text, out long bytes)
    {
        int shift = text.Length == 0 ? 0 : char.ToUpperInvariant(text[^1]) switch { 'G' => 30, 'M' => 20, 'K' => 10, _ => 0 };
        bool good = long.TryParse(shift == 0 ? text : text[..^1], NumberStyles.None, CultureInfo.InvariantCulture, out bytes) && bytes is > 0 and < 1L << 32;
        bytes = (bytes << shift) & ~4095L;
        return good && bytes >= 4 << 20;
    }
}
