using System.Net.Sockets;
using Shinano.Control.Api.Domains;
using Shinano.Hypervisor.Saving;
using Shinano.Machine.Saving;
using Shinano.SavedState;

namespace Shinano.Machine.Migration;

/// <summary>Sends a domain to xend's socket: what a machine for it must be, pages while it runs, and the rest once it is suspended. One call at a time.</summary>
internal sealed class StateSender : IDisposable
{
    private readonly PvMachine _machine;
    private readonly Socket _socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly SectionWriter _sections;
    private readonly BufferedStream _output;
    private PreCopy? _preCopy;
    private int _disposed;

    /// <summary>Connects, and sends what the machine must be.</summary>
    /// <exception cref="IOException">Nobody is there.</exception>
    public StateSender(PvMachine machine, string socketPath)
    {
        _machine = machine;
        try
        {
            _socket.Connect(new UnixDomainSocketEndPoint(socketPath));
            _output = new BufferedStream(new NetworkStream(_socket, ownsSocket: false), 1 << 16);
            _sections = new SectionWriter(_output, SectionFormat.Migration);
            StateWriter head = new();
            MachineSaver.HeadOf(machine).Write(head);
            _sections.Write(SectionKind.Head, head.Written.Span);
            _output.Flush();
        }
        catch (SocketException e)
        {
            _socket.Dispose();
            throw new IOException($"{socketPath}: {e.Message}", e);
        }
        catch
        {
            _socket.Dispose();
            throw;
        }
    }

    /// <summary>Sends the running guest's memory in rounds; see <see cref="PreCopy"/>.</summary>
    /// <exception cref="IOException">xend is gone.</exception>
    public PreCopyResult SendPages(Action<int, long, long> progress, CancellationToken cancellation)
    {
        PreCopy preCopy = new(_machine);
        try
        {
            _preCopy = preCopy;
            PreCopyResult result = preCopy.Run(_sections, progress, cancellation);
            _output.Flush();
            return result;
        }
        catch
        {
            preCopy.Dispose();
            throw;
        }
    }

    /// <summary>Sends state and pages of the suspended domain, and the end.</summary>
    /// <returns>Pages sent.</returns>
    /// <exception cref="SavedStateException">The domain is in a state that cannot be saved.</exception>
    /// <exception cref="IOException">xend is gone.</exception>
    public long SendState()
    {
        StateWriter state = new();
        MachineHead head = MachineSaver.HeadOf(_machine);
        long read = DateTime.UtcNow.Ticks;
        head.Write(state);
        DomainState domain = new(_machine.Parts);
        domain.Save(state);
        StateWriter rings = new();
        MachineSaver.RingsOf(_machine).Write(rings);
        StateWriter clock = new();
        clock.Put(read);
        _sections.Write(SectionKind.Machine, state.Written.Span);
        _sections.Write(SectionKind.Rings, rings.Written.Span);
        _sections.Write(SectionKind.Clock, clock.Written.Span);
        foreach (StateWriter frames in domain.SaveFrames())
        {
            _sections.Write(SectionKind.Frames, frames.Written.Span);
        }

        Memory.GuestMemory memory = _machine.Domain.Memory;
        IEnumerable<ulong> rest = _preCopy?.TakeRest() ?? memory.FramesWithContent().Where(_machine.Parts.Mmu.Space.IsGuests);
        long pages = PageSections.Write(_sections, memory, rest, isPacked: false);
        _sections.End();
        _output.Flush();
        return pages;
    }

    /// <summary>Ends the log of changes and the connection, whatever is under way on it.</summary>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, 1) == 0)
        {
            _socket.Dispose();
            _preCopy?.Dispose();
        }
    }
}
