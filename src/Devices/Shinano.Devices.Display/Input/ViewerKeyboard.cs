using Shinano.Devices.Display.Rfb;

namespace Shinano.Devices.Display.Input;

/// <summary>
/// One viewer's keys: shift is put around a symbol when a viewer sends the symbol alone, and what it held is let go when it leaves. One thread.
/// </summary>
internal sealed class ViewerKeyboard(IDisplayInput input)
{
    private readonly SortedSet<int> _held = [];
    private bool _capsLock;

    public void Handle(ClientMessage.Key key)
    {
        bool shift = false;
        int code = key.ScanCode != 0 ? KeyTable.OfScanCode(key.ScanCode) : KeyTable.OfSymbol(key.Symbol, out shift);
        if (code == 0)
        {
            return;
        }

        if (code == KeyTable.CapsLock && key.IsDown && !_held.Contains(code))
        {
            _capsLock = !_capsLock;
        }

        bool isUpper = key.Symbol is >= 'A' and <= 'Z';
        bool hasShift = _held.Contains(KeyTable.LeftShift) || _held.Contains(KeyTable.RightShift) || (isUpper && _capsLock);
        bool addsShift = shift && key.IsDown && !hasShift;
        if (addsShift)
        {
            input.Key(KeyTable.LeftShift, true);
        }

        Send(code, key.IsDown);
        if (addsShift)
        {
            input.Key(KeyTable.LeftShift, false);
        }
    }

    public void ReleaseAll()
    {
        foreach (int code in _held)
        {
            input.Key(code, false);
        }

        _held.Clear();
    }

    private void Send(int code, bool isDown)
    {
        if (isDown)
        {
            _held.Add(code);
        }
        else if (!_held.Remove(code))
        {
            return;
        }

        input.Key(code, isDown);
    }
}
