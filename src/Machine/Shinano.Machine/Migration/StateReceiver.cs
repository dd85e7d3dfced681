using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Machine.Saving;
using Shinano.SavedState;

namespace Shinano.Machine.Migration;

/// <summary>
/// Makes a machine of what comes from xend's socket, which is somebody else's domain and hostile: what it says goes through the checks that a guest's hypercalls go
/// through. The connection is the domain's life until <see cref="Keep"/>.
/// </summary>
internal sealed class StateReceiver : IDisposable
{
    /// <summary>
    /// The guest's clocks go on by the time that it was away, but no more: a kernel takes a longer jump for a CPU that hung (Linux: watchdog_thresh, rcu_cpu_stall_timeout).
    /// </summary>
    private static readonly TimeSpan LongestJump = TimeSpan.FromSeconds(5);

    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly NetworkStream _input;
    private bool _kept;

    /// <exception cref="DomainFailureException">Nobody is there.</exception>
    public StateReceiver(string socketPath)
    {
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
            _input = new NetworkStream(_socket, ownsSocket: true);
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw new DomainFailureException(DomainFailureCode.HostResource, $"{socketPath}: {e.Message}", e);
        }
    }

    /// <summary>Receives the domain, and leaves it paused, its rings bound; nothing is left behind after a failure.</summary>
    /// <exception cref="DomainFailureException">The stream, or this host, does not do.</exception>
    public async Task<PvMachine> ReceiveAsync(MachineSettings settings, Action<string, string> progress)
    {
        try
        {
            // Nothing follows what is read of it, so what it holds back is nothing.
            BufferedStream input = new(_input, 1 << 16);
            return await ReceiveAsync(new SectionReader(input, SectionFormat.Migration), settings, progress).ConfigureAwait(false);
        }
        catch (SavedStateException e)
        {
            throw SavedFailure.OfStream(e);
        }
        catch (Exception e) when (e is IOException or ObjectDisposedException)
        {
            throw new DomainFailureException(DomainFailureCode.MigrationBroken, $"the domain did not come whole: {e.Message}", e);
        }
    }

    /// <summary>From here on the domain does not depend on who sent it.</summary>
    public void Keep()
    {
        Volatile.Write(ref _kept, true);
        Dispose();
    }

    /// <summary>Completes when the connection ended before <see cref="Keep"/>: with true, the domain is to end.</summary>
    public async Task<bool> WaitForLossAsync()
    {
        try
        {
            await _socket.ReceiveAsync(new byte[1]).ConfigureAwait(false);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // Ended, here or there.
        }

        return !Volatile.Read(ref _kept);
    }

    public void Dispose() => _socket.Dispose();

    private static async Task<PvMachine> ReceiveAsync(SectionReader sections, MachineSettings settings, Action<string, string> progress)
    {
        MachineHead promised = MachineHead.Read(new StateReader(MachineRestorer.Demand(sections, SectionKind.Head)));
        PvMachine machine = MachineRestorer.Create(promised, settings, progress);
        try
        {
            using PagePacker packer = new();
            StagedFrames staged = new(machine.Space);
            SectionKind kind;
            byte[] payload;
            while ((kind = sections.Read(out payload)) is SectionKind.Pages or SectionKind.PackedPages)
            {
                PageSections.Load(kind, payload, packer, machine.Domain.Memory, staged.Admit);
            }

            StateReader reader = new(kind == SectionKind.Machine
                ? payload
                : throw new SavedStateException(SavedStateError.Damaged, $"a section {kind} is where the machine's state should be"));
            MachineHead head = MachineHead.Read(reader);
            StateReader.Demand(
                head.BuiltPages == promised.BuiltPages && head.Vcpus == promised.Vcpus && head.Features == promised.Features && head.Vendor == promised.Vendor,
                "the machine's state is another machine's than was promised");
            RingSection rings = RingSection.Read(new StateReader(MachineRestorer.Demand(sections, SectionKind.Rings)));
            StateReader clock = new(MachineRestorer.Demand(sections, SectionKind.Clock));
            TimeSpan away = TimeSpan.FromTicks(unchecked(DateTime.UtcNow.Ticks - clock.Get<long>()));
            clock.ExpectEnd();
            away = away < TimeSpan.Zero ? TimeSpan.Zero : away < LongestJump ? away : LongestJump;
            MachineRestorer.Load(machine, head, sections, reader, rings, away, staged.DropStrays, progress);
            return machine;
        }
        catch
        {
            await machine.DisposeAsync().ConfigureAwait(false);
            throw;
        }
    }
}
