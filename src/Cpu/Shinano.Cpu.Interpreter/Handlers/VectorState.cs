using Shinano.X86;

namespace Shinano.Cpu.Interpreter;

/// <summary>Whether x87, SSE and AVX may be used just now. Source: SDM 3A §2.5 table 2-2, §13.1; SDM 2A §2.4.</summary>
internal static unsafe class VectorState
{
    public const ulong MonitorCoprocessor = 1 << 1;
    public const ulong Emulation = 1 << 2;
    public const ulong TaskSwitched = 1 << 3;
    public const ulong Cr4OsXsave = 1 << 18;
    public const ulong AvxComponents = 6;

    /// <summary>Prepares the fault when legacy SSE is not usable.</summary>
    /// <remarks>CR4.OSFXSR is not looked at: every hypervisor that runs PV guests has it set, and full-CPU guests are still to come.</remarks>
    public static bool CheckSse(Core* c, Op* op)
    {
        if ((c->Cpu.Cr0 & (Emulation | TaskSwitched)) == 0)
        {
            return true;
        }

        bool emulation = (c->Cpu.Cr0 & Emulation) != 0;
        FlowHandlers.Fault(c, op, emulation ? ExceptionVector.InvalidOpcode : ExceptionVector.DeviceNotAvailable, 0);
        return false;
    }

    /// <summary>Prepares the fault when x87 is not usable.</summary>
    public static bool CheckX87(Core* c, Op* op)
    {
        if ((c->Cpu.Cr0 & (Emulation | TaskSwitched)) == 0)
        {
            return true;
        }

        FlowHandlers.Fault(c, op, ExceptionVector.DeviceNotAvailable, 0);
        return false;
    }

    /// <summary>Prepares the fault for WAIT.</summary>
    public static bool CheckWait(Core* c, Op* op)
    {
        if ((c->Cpu.Cr0 & (MonitorCoprocessor | TaskSwitched)) != (MonitorCoprocessor | TaskSwitched))
        {
            return true;
        }

        FlowHandlers.Fault(c, op, ExceptionVector.DeviceNotAvailable, 0);
        return false;
    }

    /// <summary>Prepares the fault when VEX-encoded vector instructions are not usable.</summary>
    public static bool CheckAvx(Core* c, Op* op)
    {
        if ((c->Cpu.Cr4 & Cr4OsXsave) == 0 || (c->Cpu.Xcr0 & AvxComponents) != AvxComponents)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.InvalidOpcode, 0);
            return false;
        }

        if ((c->Cpu.Cr0 & TaskSwitched) != 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.DeviceNotAvailable, 0);
            return false;
        }

        return true;
    }

    /// <summary>Prepares the fault when the XSAVE instructions are not usable.</summary>
    public static bool CheckXsave(Core* c, Op* op)
    {
        if ((c->Cpu.Cr4 & Cr4OsXsave) == 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.InvalidOpcode, 0);
            return false;
        }

        if ((c->Cpu.Cr0 & TaskSwitched) != 0)
        {
            FlowHandlers.Fault(c, op, ExceptionVector.DeviceNotAvailable, 0);
            return false;
        }

        return true;
    }
}
