using Shinano.Control.Api.Domains;
using Shinano.Machine.Warm;
using Shinano.XenStore.Protocol;

namespace Shinano.Machine.Tests;

/// <summary>Machines with a kernel of a few instructions, which power themselves off when they run.</summary>
internal sealed class TinyMachine : IDisposable
{
    private readonly DirectoryInfo _directory = Directory.CreateTempSubdirectory("shm");

    public TinyMachine() => File.WriteAllBytes(Kernel, TinyKernel.Build());

    public string SocketPath => Path.Combine(_directory.FullName, "fork");

    private string Kernel => Path.Combine(_directory.FullName, "kernel");

    public ForkOffer NewOffer() => new(SocketPath, RelayToken.Create().ToText());

    public MachineSettings Settings(ForkOffer? offer = null, int mebibytes = 8) => new()
    {
        DomainId = 1,
        Uuid = Guid.NewGuid(),
        Name = "tiny",
        MemoryBytes = (long)mebibytes << 20,
        MaxMemoryBytes = (long)mebibytes << 20,
        MaxVcpus = 1,
        KernelPath = Kernel,
        Fork = offer,
    };

    /// <summary>A machine that is suspended before its first instruction.</summary>
    public async Task<PvMachine> SuspendedAsync()
    {
        PvMachine machine = await PvMachine.BuildAsync(Settings(), (_, _) => { });
        await machine.SuspendAsync(TestContext.Current.CancellationToken);
        return machine;
    }

    /// <summary>Lets a machine run until it shuts down.</summary>
    public static async Task<Hypervisor.ShutdownReason> RunAsync(PvMachine machine)
    {
        TaskCompletionSource<Hypervisor.ShutdownReason> end = new(TaskCreationOptions.RunContinuationsAsynchronously);
        machine.Domain.ShutDown += reason => end.TrySetResult(reason);
        machine.Runner.Unpause();
        return await end.Task;
    }

    public void Dispose() => _directory.Delete(recursive: true);
}
