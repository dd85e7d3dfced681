using Shinano.Linux;
using Shinano.Network.Frames;
using Shinano.Network.Link;
using Shinano.Network.Switching;

namespace Shinano.Network.Switch;

/// <summary>A TAP interface of the host: the way to a bridge of Linux's, and to all who are on it. A thread reads; writing never waits.</summary>
internal sealed class TapPort : BridgePort, IDisposable
{
    private readonly TapDevice _device;
    private readonly Bridge _bridge;
    private readonly Thread _reader;

    /// <exception cref="IOException">The interface cannot be had.</exception>
    public TapPort(string name, Bridge bridge)
        : base(PortVlan.Trunk)
    {
        IsPromiscuous = true;
        _bridge = bridge;
        _device = TapDevice.Open(name);
        _reader = new Thread(Read) { IsBackground = true, Name = $"tap {name}" };
        _reader.Start();
    }

    /// <inheritdoc/>
    public void Dispose() => _device.Dispose();

    /// <inheritdoc/>
    protected override bool TrySend(ReadOnlySpan<byte> frame, FrameOffload offload) => _device.TryWrite(VirtioHeader.Write(frame, offload), frame);

    private void Read()
    {
        byte[] buffer = new byte[VirtioHeader.Size + LinkFormat.MaximumFrame];
        while (_device.Read(buffer) is > 0 and int length)
        {
            if (length > VirtioHeader.Size && VirtioHeader.TryRead(buffer, length - VirtioHeader.Size, out FrameOffload offload))
            {
                _bridge.Forward(this, buffer.AsSpan(VirtioHeader.Size, length - VirtioHeader.Size), offload);
            }
        }
    }
}
