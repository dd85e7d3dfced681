using System.Buffers;
using System.Net.Sockets;
using Shinano.Devices.Display.Input;
using Shinano.Devices.Display.Rfb.Security;
using Shinano.Devices.Display.Surface;

namespace Shinano.Devices.Display.Rfb;

/// <summary>One viewer's connection: a task reads its messages, another writes its updates when it asks for them.</summary>
internal sealed class ViewerSession(Stream stream, IDisplaySurface surface, IDisplayInput input, AttemptLimit attempts, DisplayOptions options)
{
    private readonly byte[] _buffer = new byte[ClientMessageParser.MaximumMessage + 4096];
    private readonly ViewerKeyboard _keyboard = new(input);
    private readonly Lock _lock = new();
    private ViewerState? _state;
    private bool _missedMode;
    private int _start;
    private int _end;
    private int _buttons;

    /// <summary>Ends when the viewer leaves or breaks the protocol. Does not throw.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        try
        {
            if (await ShakeHandsAsync(stop.Token).ConfigureAwait(false))
            {
                Task writing = WriteAsync(stop.Token);
                Task reading = ReadAsync(stop.Token);
                Task first = await Task.WhenAny(writing, reading).ConfigureAwait(false);
                await stop.CancelAsync().ConfigureAwait(false);
                await Task.WhenAll(writing, reading).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
                await first.ConfigureAwait(false);
            }
        }
        catch (Exception e) when (e is IOException or SocketException or OperationCanceledException or ObjectDisposedException)
        {
            // The viewer is gone, or the display.
        }
        catch (InvalidDataException e)
        {
            options.Log($"a viewer was cut off: {e.Message}");
        }
        catch (Exception e)
        {
            // The boundary: a viewer's error is that viewer's.
            options.Log($"a viewer was cut off: {e}");
        }
        finally
        {
            _keyboard.ReleaseAll();
            if (_buttons != 0)
            {
                input.Pointer(0, 0, 0);
            }
        }
    }

    public void NoteDrawn(PixelArea area) => Volatile.Read(ref _state)?.NoteDrawn(area);

    public void NoteMode()
    {
        lock (_lock)
        {
            if (_state is { } state)
            {
                state.NoteMode();
            }
            else
            {
                _missedMode = true;
            }
        }
    }

    private async Task<bool> ShakeHandsAsync(CancellationToken cancellation)
    {
        using Handshake handshake = new(options.Password, attempts);
        using CancellationTokenSource patience = new(options.Patience, options.Time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, patience.Token);
        ArrayBufferWriter<byte> output = new();
        Handshake.Begin(output);
        while (true)
        {
            if (output.WrittenCount > 0)
            {
                await stream.WriteAsync(output.WrittenMemory, both.Token).ConfigureAwait(false);
                output.ResetWrittenCount();
            }

            if (handshake.IsFailed)
            {
                options.Log($"a viewer was refused: {handshake.Fault}");
                return false;
            }

            if (handshake.IsDone)
            {
                break;
            }

            int used = handshake.Feed(_buffer.AsSpan(_start, _end - _start), output);
            _start += used;
            if (used == 0 && !await FillAsync(both.Token).ConfigureAwait(false))
            {
                return false;
            }
        }

        // A change of mode between here and the state's first look is not lost.
        SurfaceMode mode = surface.Mode;
        lock (_lock)
        {
            _state = new ViewerState(mode.Width, mode.Height);
            if (_missedMode || !ReferenceEquals(mode, surface.Mode))
            {
                _state.NoteMode();
            }
        }

        Handshake.WriteServerInit(output, mode.Width, mode.Height, PixelFormat.Rgb32, options.Name);
        await stream.WriteAsync(output.WrittenMemory, both.Token).ConfigureAwait(false);
        return true;
    }

    private async Task ReadAsync(CancellationToken cancellation)
    {
        while (true)
        {
            ParseStatus status = ClientMessageParser.TryParse(_buffer.AsSpan(_start, _end - _start), out ClientMessage? message, out int consumed, out string? fault);
            _start += consumed;
            switch (status)
            {
                case ParseStatus.Malformed:
                    throw new InvalidDataException(fault);
                case ParseStatus.Complete when message is ClientMessage.CutText text:
                    if (!await SkipAsync(text.Length, cancellation).ConfigureAwait(false))
                    {
                        return;
                    }

                    break;
                case ParseStatus.Complete:
                    Handle(message!);
                    break;
                default:
                    if (!await FillAsync(cancellation).ConfigureAwait(false))
                    {
                        return;
                    }

                    break;
            }
        }
    }

    private void Handle(ClientMessage message)
    {
        ViewerState state = _state!;
        switch (message)
        {
            case ClientMessage.SetPixelFormat { IsTrueColour: false }:
                throw new InvalidDataException("the viewer wants a colour map; only true colour is sent");
            case ClientMessage.SetPixelFormat { Format: var format }:
                if (format.FindFault() is { } fault)
                {
                    throw new InvalidDataException($"the viewer's pixel format: {fault}");
                }

                state.SetFormat(format);
                break;
            case ClientMessage.SetEncodings { Encodings: var encodings }:
                state.SetEncodings(encodings);
                break;
            case ClientMessage.UpdateRequest request:
                state.Request(request);
                break;
            case ClientMessage.Key key:
                _keyboard.Handle(key);
                break;
            case ClientMessage.Pointer pointer:
                _buttons = pointer.Buttons;
                SurfaceMode mode = surface.Mode;
                input.Pointer(Math.Min(pointer.X, mode.Width - 1), Math.Min(pointer.Y, mode.Height - 1), pointer.Buttons);
                break;
            case ClientMessage.SetDesktopSize:
                state.RefuseSize();
                break;
        }
    }

    private async Task WriteAsync(CancellationToken cancellation)
    {
        using UpdateWriter writer = new(surface, SendAsync);
        while (true)
        {
            if (_state!.TryTake(surface.Mode) is { } update)
            {
                await writer.WriteAsync(update, cancellation).ConfigureAwait(false);
                if (options.UpdateInterval > TimeSpan.Zero)
                {
                    await Task.Delay(options.UpdateInterval, options.Time, cancellation).ConfigureAwait(false);
                }
            }
            else
            {
                await _state.WaitAsync(cancellation).ConfigureAwait(false);
            }
        }
    }

    private async Task SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        using CancellationTokenSource patience = new(options.Patience, options.Time);
        using CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(cancellation, patience.Token);
        await stream.WriteAsync(bytes, both.Token).ConfigureAwait(false);
    }

    private async Task<bool> SkipAsync(int count, CancellationToken cancellation)
    {
        while (true)
        {
            int used = Math.Min(count, _end - _start);
            _start += used;
            count -= used;
            if (count == 0)
            {
                return true;
            }

            if (!await FillAsync(cancellation).ConfigureAwait(false))
            {
                return false;
            }
        }
    }

    /// <summary>Reads more of what the viewer sends; false at the end.</summary>
    private async Task<bool> FillAsync(CancellationToken cancellation)
    {
        if (_start > 0)
        {
            _buffer.AsSpan(_start, _end - _start).CopyTo(_buffer);
            _end -= _start;
            _start = 0;
        }

        int count = await stream.ReadAsync(_buffer.AsMemory(_end), cancellation).ConfigureAwait(false);
        _end += count;
        return count > 0;
    }
}
